// Eigendecomposition of a real symmetric matrix in float64, by LAPACKE on the CPU and cuSOLVER on CUDA.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// A = sum_i values_i v_i v_i', eigenvalues ascending. A symmetric matrix reads the same row-major and
/// column-major, so LAPACK's eigenvectors, its columns, come back as our rows. LAPACKE allocates further
/// scratch memory itself.
struct Eigh {
  double* a = nullptr;  ///< [n, n]; reads the lower triangle; overwritten by the eigenvectors, row i is v_i
  int64_t a_stride = 0;
  int64_t n = 0;
  double* values = nullptr;  ///< [n]
  int32_t* info = nullptr;   ///< [1], as in LAPACK: 0 success, < 0 bad argument (NaN), > 0 no convergence
  void* scratch = nullptr;   ///< eigh_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(eigh, Eigh)

}  // namespace sotalign::kernels
