// CKA (centred kernel alignment) of a student affinity K and a teacher affinity K* as a divergence:
//   CKA(K || K*) = 1 - <H K H, H K* H> / (|H K H| |H K* H|),
// where H takes off the mean, so that rows and columns of H K H sum to zero; between 0 (K and K* agree up to
// a positive factor and a constant for each row and column) and 2.
//
// A matrix without structure beyond rows and columns (constant, a single row or column, 1 x 1, or one whose
// |H K H|^2 is below 1e-13 |K|^2, which is what rounding leaves) agrees with none: the value is then 1 and
// the gradient 0.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// For affinities [rows, cols]. Sized once: further runs allocate nothing and copy nothing to the host. K and
/// K* are read twice each. The context outlives it.
class Cka {
 public:
  /// Throws InvalidArgument for an empty shape.
  Cka(Context& context, int64_t rows, int64_t cols);

  /// gradient = gradient_scale * dCKA/dK, [rows, cols]; it may be the memory of `student` or of `teacher`,
  /// and an empty view (data null) asks for the value alone. Queued, not waited for. Throws InvalidArgument
  /// for shapes that do not fit.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// Of the last run; waits for it.
  double value() const;

 private:
  Context* context_;
  int64_t rows_, cols_;
  Buffer<double> value_;
};

}  // namespace sotalign
