// Products and sums that are rounded one by one. nvcc contracts a * b + c into a fused multiply-add, which
// rounds once; where results have to be the CPU's bit for bit, these two keep it from doing so.
#pragma once

#include "kernels/cuda/simt.h"

namespace sotalign::kernels::cuda {

__device__ __forceinline__ float mul(float a, float b) {
#ifdef __CUDACC__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
__device__ __forceinline__ float add(float a, float b) {
#ifdef __CUDACC__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

}  // namespace sotalign::kernels::cuda
