// CKA (centred kernel alignment) of a student affinity K and a teacher affinity K* as a divergence:
//   CKA(K || K*) = 1 - <H K H, H K* H> / (|H K H| |H K* H|),
// where H subtracts the mean, so that rows and columns of H K H sum to zero. The value is between 0 (K and K*
// agree up to a positive factor and a constant for each row and column) and 2.
//
// If a matrix has nothing left after centring (it is constant, has a single row or column, or |H K H|^2 is
// below 1e-13 |K|^2, the size of rounding errors), the value is 1 and the gradient 0.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// For affinities [rows, cols]. The constructor allocates; runs allocate nothing and copy nothing to the
/// host. A run reads K and K* twice each. The context outlives it.
class Cka {
 public:
  /// Throws InvalidArgument for an empty shape.
  Cka(Context& context, int64_t rows, int64_t cols);

  /// gradient = gradient_scale * dCKA/dK, [rows, cols]. It may be the memory of `student` or of `teacher`.
  /// With an empty view (data null) a run computes the value only. Queues its work and returns. Throws
  /// InvalidArgument for shapes that do not fit.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// The value of the last run; waits for it.
  double value() const;

 private:
  Context* context_;
  int64_t rows_, cols_;
  Buffer<double> value_;
};

}  // namespace sotalign
