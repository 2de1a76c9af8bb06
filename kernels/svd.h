// Thin singular value decomposition in float64, by LAPACKE on the CPU and cuSOLVER on CUDA.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// A = U diag(values) Vt, k = min(m, n), singular values descending. No arrays alias. LAPACKE allocates
/// further scratch memory itself.
struct Svd {
  double* a = nullptr;  ///< [m, n]; destroyed
  int64_t a_stride = 0;
  int64_t m = 0, n = 0;
  double* u = nullptr;  ///< [m, k]
  int64_t u_stride = 0;
  double* values = nullptr;  ///< [k]
  double* vt = nullptr;      ///< [k, n]
  int64_t vt_stride = 0;
  int32_t* info = nullptr;  ///< [1], as in LAPACK: 0 success, < 0 bad argument (NaN), > 0 no convergence
  void* scratch = nullptr;  ///< svd_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(svd, Svd)

}  // namespace sotalign::kernels
