// Sums down the columns of a matrix, shared by column_sum and column_mean.
//
// A block sums a range of rows in 32 adjacent columns. Each lane owns a column, so a warp's loads coalesce,
// and the warps take the rows in turn. The warps' sums go through shared memory and are added in the order of
// the warps.
//
// Not CUB: its segmented sums are over neighbouring numbers, and promise no order of the additions that lasts
// from version to version.
#pragma once

#include "kernels/cuda/reduce.h"
#include "kernels/cuda/simt.h"

namespace sotalign::kernels::cuda {

inline constexpr int kColumnTile = kWarpSize;
inline constexpr int kColumnWarps = 8;
inline constexpr int kColumnThreads = kColumnTile * kColumnWarps;

/// sum_i x_ij over the rows first ... last - 1, for column j = tile * kColumnTile + lane; 0 if j >= cols. The
/// threads of the first warp get the sum of their column, the others a part of it. One barrier. Call it once
/// per kernel: no second barrier protects the shared memory from reuse.
template <class T>
__device__ __forceinline__ double sum_column(const T* x, int64_t stride, int64_t first, int64_t last,
                                             int64_t j, int64_t cols) {
  SOTALIGN_SHARED(double, sums, [kColumnWarps][kColumnTile]);
  const int lane = static_cast<int>(threadIdx.x) % kColumnTile;
  const int warp = static_cast<int>(threadIdx.x) / kColumnTile;
  double sum = 0;
  if (j < cols) {
#pragma unroll 8
    for (int64_t i = first + warp; i < last; i += kColumnWarps) sum += static_cast<double>(x[i * stride + j]);
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0)
    for (int w = 1; w < kColumnWarps; ++w) sum += sums[w][lane];
  return sum;
}

}  // namespace sotalign::kernels::cuda
