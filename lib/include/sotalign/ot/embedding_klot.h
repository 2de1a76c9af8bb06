// KLOT of embeddings, with affinities that need not fit in memory: K = X Y' of the student and K* = X* Y*' of
// the teacher, and the gradients with respect to the student's embeddings,
//   dX = G Y,  dY = G' X,  G = dKLOT/dK.
// K, K* and G are stored, or computed strip by strip; see KlotMemory.
#pragma once

#include <memory>
#include <vector>

#include "sotalign/ot/embeddings.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/klot_memory.h"

namespace SOTALIGN_API sotalign {

/// KLOT of embeddings of one shape. Runs after the first allocate nothing. Unless affinities are stored, a
/// run synchronizes in every iteration, so that no strip is computed after convergence. The context must
/// outlive it.
class EmbeddingKlot {
 public:
  /// For affinities [rows, cols]. strip_rows: rows per strip; 0 picks a height that suits the device. Throws
  /// InvalidArgument for options out of range and, unless affinities are stored, for the scaling form or a
  /// ladder.
  EmbeddingKlot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options,
                KlotMemory memory = KlotMemory::kStreamed, int64_t strip_rows = 0);
  ~EmbeddingKlot();
  EmbeddingKlot(EmbeddingKlot&&) noexcept;
  EmbeddingKlot& operator=(EmbeddingKlot&&) noexcept;

  /// See Klot::set_weights.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b);

  /// For runs that all have the same teacher's embeddings: the first run after this call computes the
  /// teacher's affinity, unless it is streamed, and potentials; later ones take them from it. Changes no bit
  /// of a result. set_weights() makes the next run solve again.
  void keep_teacher();

  /// dx = gradient_scale * dKLOT/dX, [rows, d], and dy = gradient_scale * dKLOT/dY, [cols, d]. Neither may
  /// overlap any embeddings. Throws InvalidArgument if shapes do not match.
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double gradient_scale = 1.0);

  /// Waits for the last run and returns its result.
  KlotResult result() const;

  KlotMemory memory() const;
  /// See klot_memory_bytes.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory,
                              int64_t strip_rows = 0);
  /// The part of it that the object holds between runs; the rest is scratch memory of a run.
  static int64_t kept_bytes(int64_t rows, int64_t cols, KlotMemory memory);

 private:
  class Implementation;  // in embedding_klot.cpp
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sotalign
