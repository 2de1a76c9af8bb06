// KLOT of embeddings, including affinities that do not fit into memory: K = X Y' of the student and
// K* = X* Y*' of the teacher, with the gradients with respect to the student's embeddings,
//   dX = G Y,  dY = G' X,  G = dKLOT/dK.
// K, K* and G are stored, or computed strip by strip; see KlotMemory.
#pragma once

#include <memory>
#include <vector>

#include "sotalign/ot/embeddings.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/klot_memory.h"

namespace SOTALIGN_API sotalign {

/// The constructor allocates for one shape; runs after the first allocate nothing. Unless affinities are
/// stored, a run synchronizes in every iteration, so that it computes no strip after convergence. The context
/// outlives it.
class EmbeddingKlot {
 public:
  /// For affinities [rows, cols]. strip_rows: the height of a strip; 0 chooses one that suits the device.
  /// Throws InvalidArgument for options that are out of range, and for the scaling form or a ladder unless
  /// affinities are stored.
  EmbeddingKlot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options,
                KlotMemory memory = KlotMemory::kStreamed, int64_t strip_rows = 0);
  ~EmbeddingKlot();
  EmbeddingKlot(EmbeddingKlot&&) noexcept;
  EmbeddingKlot& operator=(EmbeddingKlot&&) noexcept;

  /// See Klot::set_weights.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b);

  /// dx = gradient_scale * dKLOT/dX, [rows, d], and dy = gradient_scale * dKLOT/dY, [cols, d]. They must not
  /// overlap any embeddings. Throws InvalidArgument for shapes that do not fit.
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double gradient_scale = 1.0);

  /// The result of the last run; waits for it.
  KlotResult result() const;

  KlotMemory memory() const;
  /// See klot_memory_bytes.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory,
                              int64_t strip_rows = 0);

 private:
  class Implementation;  // in embedding_klot.cpp
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sotalign
