// Machine instructions without a name in CUDA C++, and what the emulator computes for them.
#pragma once

#include "kernels/cuda/simt.h"

#ifndef __CUDACC__
#include <cmath>
#endif

namespace sotalign::kernels::cuda {

/// 2^x with a relative error below 2^-22; results below 2^-126 become 0. exp2_approx(-inf) = 0, of NaN NaN.
__device__ __forceinline__ float exp2_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
#endif
}

}  // namespace sotalign::kernels::cuda
