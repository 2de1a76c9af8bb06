// Thin singular value decomposition.
#pragma once

#include "sotalign/core/buffer.h"

namespace sotalign {

/// A = U diag(values) Vt, k = min(m, n). In each row of Vt the component of largest magnitude is positive,
/// and U follows.
struct ThinSvd {
  Matrix<double> u;       ///< [m, k], orthonormal columns
  Buffer<double> values;  ///< [k], descending, >= 0
  Matrix<double> vt;      ///< [k, n], orthonormal rows
};

/// `a` [m, n] is consumed (move it in). The same input gives the same bits on the same device with the same
/// number of threads. Throws InvalidArgument if `a` is empty or larger than LAPACK can index, NumericalError
/// if it is not finite or LAPACK does not converge.
ThinSvd svd(Context& context, Matrix<double> a);

}  // namespace sotalign
