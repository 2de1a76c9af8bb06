// Thin singular value decomposition.
#pragma once

#include "sotalign/core/buffer.h"

namespace SOTALIGN_API sotalign {

/// A = U diag(values) Vt, k = min(m, n). The component of largest magnitude in each row of Vt is positive.
struct ThinSvd {
  Matrix<double> u;       ///< [m, k], orthonormal columns
  Buffer<double> values;  ///< [k], descending, >= 0
  Matrix<double> vt;      ///< [k, n], orthonormal rows
};

/// Decomposes `a` [m, n] and consumes it (move it in). The same input gives the same bits on the same device
/// with the same number of threads. Throws InvalidArgument if `a` is empty or larger than LAPACK can index,
/// and NumericalError if it is not finite or LAPACK does not converge.
ThinSvd svd(Context& context, Matrix<double> a);

}  // namespace sotalign
