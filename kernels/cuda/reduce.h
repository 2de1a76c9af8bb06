// Reductions over a warp and over a block. The order of the operations is fixed, so results repeat on every
// run. Blocks are one-dimensional and consist of whole warps: blockDim.x is a multiple of 32.
//
// Not CUB's, because its code for warps and blocks is for nvcc alone: the emulator could not run kernels with
// it.
#pragma once

#include "kernels/cuda/simt.h"

namespace sotalign::kernels::cuda {

inline constexpr unsigned kFullMask = 0xffffffffu;
inline constexpr int kWarpSize = 32;
inline constexpr int kMaxWarps = 32;

struct Plus {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// Keeps a NaN, unlike fmaxf.
struct Maximum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

/// All lanes get the result.
template <class T, class Op>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    value = op(value, __shfl_xor_sync(kFullMask, value, offset));
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Plus{});
}

/// All threads of the block get the result. `scratch` is shared memory for kMaxWarps values, and may be
/// reused at once. `identity` leaves a value unchanged under op. Two barriers.
template <class T, class Op>
__device__ __forceinline__ T block_reduce(T value, T* scratch, T identity, Op op) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize,
            warp = static_cast<int>(threadIdx.x) / kWarpSize;
  value = warp_reduce(value, op);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < static_cast<int>(blockDim.x) / kWarpSize ? scratch[lane] : identity, op);
  __syncthreads();
  return value;
}
template <class T>
__device__ __forceinline__ T block_sum(T value, T* scratch) {
  return block_reduce(value, scratch, T{0}, Plus{});
}

}  // namespace sotalign::kernels::cuda
