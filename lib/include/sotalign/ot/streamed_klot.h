// KLOT of embeddings, for affinities that may be too large for memory: K = X Y' of the student, K* = X* Y*'
// of the teacher, and the gradients with respect to the student's embeddings,
//   dX = G Y,  dY = G' X,  G = dKLOT/dK,
// which are added up strip by strip: G, like K and K*, need not be stored.
#pragma once

#include "sotalign/ot/fixed_point_matrix.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/klot_memory.h"

namespace sotalign {

/// Sized once: further runs allocate nothing. Unless affinities are stored, a run waits in every iteration,
/// as strips that are not needed are not to be made. The context outlives it.
class StreamedKlot {
 public:
  /// Affinities [rows, cols]. strip_rows: of each strip; 0: as suits the device.
  StreamedKlot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options,
               KlotMemory memory = KlotMemory::kStreamed, int64_t strip_rows = 0);

  /// See Klot::set_weights.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b) { klot_.set_weights(a, b); }

  /// dx = gradient_scale dKLOT/dX, [rows, d], and dy likewise, [cols, d]. They overlap no embeddings.
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double gradient_scale = 1.0);

  /// Of the last run; waits for it.
  KlotResult result() const { return klot_.result(); }

  KlotMemory memory() const { return memory_; }
  /// See klot_memory_bytes.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory,
                              int64_t strip_rows = 0);

 private:
  int64_t rows() const { return klot_.solver_.rows(); }
  int64_t cols() const { return klot_.solver_.cols(); }

  Context* context_;
  KlotMemory memory_;
  int64_t height_;  // of a strip
  Klot klot_;
  Matrix<float> student_, teacher_;                 // kStored
  FixedPointMatrix fixed_student_, fixed_teacher_;  // kFixed16
};

}  // namespace sotalign
