// PTX instructions without a CUDA C++ intrinsic, and what the emulator computes for them.
#pragma once

#include "kernels/cuda/simt.h"

#ifndef __CUDACC__
#include <cmath>
#endif

namespace sotalign::kernels::cuda {

/// 2^x with a relative error below 2^-22; results below 2^-126 become 0. exp2_approx(-inf) = 0; NaN stays
/// NaN.
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

/// log2(x) with an error below 2^-21 max(1, |log2(x)|). Needs far fewer registers than log2f.
__device__ __forceinline__ float log2_approx(float x) {
#ifdef __CUDACC__
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::log2(x);
#endif
}

/// Starts an asynchronous 16-byte copy from global to shared memory that bypasses registers and L1. Both
/// addresses must be 16-byte aligned.
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
/// Commits the thread's copies since the last commit, possibly none, as one group.
__device__ __forceinline__ void copy_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" : : : "memory");
#else
  simt::copy_commit();
#endif
}
/// Waits until all of the thread's groups but the last kPending have arrived. They are then visible to this
/// thread; other threads also need a barrier.
template <int kPending>
__device__ __forceinline__ void copy_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" : : "n"(kPending) : "memory");
#else
  simt::copy_wait(kPending);
#endif
}

/// Waits until all threads of `blocks` blocks of a cooperative launch have called it, and makes their earlier
/// writes visible. `arrivals`, in global memory, is zero before the launch and only counts up; each thread's
/// `expected` is zero at first. Only the team's blocks share `arrivals`.
__device__ __forceinline__ void team_barrier(unsigned* arrivals, unsigned blocks, unsigned& expected) {
#ifdef __CUDACC__
  expected += blocks;
  __syncthreads();
  if (threadIdx.x == 0) {
    // What the block wrote before __syncthreads is released with this thread's addition.
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" : : "l"(arrivals) : "memory");
    unsigned arrived;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(arrivals) : "memory");
    } while (static_cast<int>(arrived - expected) < 0);  // the difference survives an overflow
  }
  __syncthreads();
#else
  expected += blocks;
  simt::team_barrier(arrivals, blocks);
#endif
}

/// Hides a value from the compiler, which must then recompute what it derives from it instead of keeping it.
__device__ __forceinline__ void make_opaque([[maybe_unused]] uint32_t& value) {
#ifdef __CUDACC__
  asm volatile("" : "+r"(value));
#endif
}
template <class T>
__device__ __forceinline__ void make_opaque([[maybe_unused]] T*& pointer) {
#ifdef __CUDACC__
  asm volatile("" : "+l"(pointer));
#endif
}

/// Loads 16 bytes that nothing writes while the kernel runs. Unlike __ldg, one instruction that the compiler
/// neither splits nor moves ahead of a copy_async.
__device__ __forceinline__ float4 load_constant(const float4* address) {
#ifdef __CUDACC__
  float4 x;
  asm volatile("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
               : "l"(address));
  return x;
#else
  return *address;
#endif
}

}  // namespace sotalign::kernels::cuda
