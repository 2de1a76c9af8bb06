// Solution of a triangular system in float64, by BLAS on the CPU and cuBLAS on CUDA.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// B <- L^-1 B with lower triangular L.
struct SolveTriangular {
  const double* l = nullptr;  ///< [n, n]; reads the lower triangle
  int64_t l_stride = 0;
  double* b = nullptr;  ///< [n, cols]
  int64_t b_stride = 0;
  int64_t n = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(solve_triangular, SolveTriangular)

}  // namespace sotalign::kernels
