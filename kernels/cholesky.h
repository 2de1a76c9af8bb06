// Cholesky factor of a symmetric positive definite matrix in float64, by LAPACKE on the CPU and cuSOLVER on
// CUDA.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// A = L L' with lower triangular L, in place.
struct Cholesky {
  double* a = nullptr;  ///< [n, n]; reads the lower triangle; overwritten there by L, elsewhere unchanged
  int64_t a_stride = 0;
  int64_t n = 0;
  int32_t* info =
      nullptr;  ///< [1], as in LAPACK: 0 success, < 0 bad argument (NaN), > 0 not positive definite
  void* scratch = nullptr;  ///< cholesky_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(cholesky, Cholesky)

}  // namespace sotalign::kernels
