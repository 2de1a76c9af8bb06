// Eigendecomposition of symmetric matrices.
#pragma once

#include "sotalign/core/buffer.h"

namespace sotalign {

/// A = V' diag(values) V with the eigenvectors as rows of V, so that the r leading directions are the
/// contiguous rows n - r to n. Of v and -v the one is taken whose component of largest magnitude is positive.
struct SymmetricEigen {
  Matrix<double> vectors;  ///< [n, n], row i belongs to values[i]
  Buffer<double> values;   ///< [n], ascending
};

/// `a` [n, n] is consumed (move it in); only its lower triangle is read. The same input gives the same bits
/// on the same device with the same number of threads. Throws InvalidArgument if `a` is empty, not square or
/// larger than LAPACK can index, NumericalError if it is not finite or LAPACK does not converge.
SymmetricEigen eigh(Context& context, Matrix<double> a);

}  // namespace sotalign
