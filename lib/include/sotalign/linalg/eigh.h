// Eigendecomposition of symmetric matrices.
#pragma once

#include "sotalign/core/buffer.h"

namespace SOTALIGN_API sotalign {

/// A = V' diag(values) V. The eigenvectors are the rows of V, so the r leading ones are its last r rows. The
/// component of largest magnitude in each row is positive.
struct SymmetricEigen {
  Matrix<double> vectors;  ///< [n, n], row i belongs to values[i]
  Buffer<double> values;   ///< [n], ascending
};

/// Decomposes `a` [n, n] and consumes it (move it in); only its lower triangle is read. The same input gives
/// the same bits on the same device with the same number of threads. Throws InvalidArgument if `a` is empty,
/// not square or larger than LAPACK can index, and NumericalError if it is not finite or LAPACK does not
/// converge.
SymmetricEigen eigh(Context& context, Matrix<double> a);

}  // namespace sotalign
