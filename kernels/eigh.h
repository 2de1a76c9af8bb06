// Eigendecomposition of a real symmetric matrix in float64, by the backend's LAPACK (LAPACKE, cuSOLVER).
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// A = sum_i values_i v_i v_i', eigenvalues ascending. A symmetric matrix is the same row- and column-major,
/// and LAPACK's eigenvectors, its columns, are our rows. LAPACKE takes
/// further scratch memory itself.
struct Eigh {
  double* a = nullptr;  ///< [n, n]; the lower triangle is read; becomes the eigenvectors, row i is v_i
  int64_t a_stride = 0;
  int64_t n = 0;
  double* values = nullptr;  ///< [n]
  int32_t* info = nullptr;   ///< [1], LAPACK's: 0 success, < 0 an argument is bad (NaN), > 0 no convergence
  void* scratch = nullptr;   ///< eigh_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(eigh, Eigh)

}  // namespace sotalign::kernels
