// CKA (centred kernel alignment) of a student affinity K and a teacher affinity K* as a divergence:
//   CKA(K || K*) = 1 - <H K H, H K* H> / (|H K H| |H K* H|),
// where H subtracts the mean: rows and columns of H K H sum to zero. The value lies between 0 (K and K* agree
// up to a positive factor and a constant per row and column) and 2.
//
// A matrix is degenerate if |H K H|^2 <= 1e-13 |K|^2: nothing but rounding is left. Constant matrices, sums
// of a row term and a column term, and single rows or columns are degenerate. If K or K* is, the value is 1,
// as for unrelated matrices, and the gradient 0.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// CKA of affinities [rows, cols]. Runs after the first allocate nothing and copy nothing to the host. A run
/// reads K and K* twice each. The context must outlive it.
class Cka {
 public:
  /// Throws InvalidArgument for an empty shape.
  Cka(Context& context, int64_t rows, int64_t cols);

  /// gradient = gradient_scale * dCKA/dK, [rows, cols]. It may overwrite `student` or `teacher`; if it is
  /// empty (data null), only the value is computed. Queues its work and returns. Throws InvalidArgument if
  /// shapes do not match.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// Waits for the last run and returns its value.
  double value() const;

 private:
  Context* context_;
  int64_t rows_, cols_;
  Buffer<double> value_;
};

}  // namespace sotalign
