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

/// log2(x) with an error below 2^-21 of itself or of 1, whichever is larger. Far fewer registers than log2f.
__device__ __forceinline__ float log2_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::log2(x);
#endif
}

/// Starts to copy 16 bytes from global to shared memory, past the registers and the first-level cache. Both
/// addresses are multiples of 16.
__device__ __forceinline__ void copy_async(void* shared, const void* global) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
               :
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))), "l"(global)
               : "memory");
#else
  simt::copy_async(shared, global);
#endif
}
/// Closes a group: the thread's copies since the last group, possibly none.
__device__ __forceinline__ void copy_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" : : : "memory");
#else
  simt::copy_commit();
#endif
}
/// Waits until all of the thread's groups but the last kPending have arrived, for this thread to read: others
/// need a barrier besides.
template <int kPending>
__device__ __forceinline__ void copy_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" : : "n"(kPending) : "memory");
#else
  simt::copy_wait(kPending);
#endif
}

/// The same value, of which the compiler knows nothing: what it has worked out from it, it works out anew.
__device__ __forceinline__ void make_opaque([[maybe_unused]] uint32_t& value) {
#ifdef __CUDACC__
  asm volatile("" : "+r"(value));
#endif
}

}  // namespace sotalign::kernels::cuda
