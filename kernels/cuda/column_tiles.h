// Sums down the columns of a matrix: what column_sum and column_mean share.
//
// A block sums a range of rows in 32 adjacent columns: a lane of its warps owns a column, so that a row is
// one line of memory per warp, and the warps take the rows in turn. The sums of the warps meet in shared
// memory and are added in the order of the warps.
#pragma once

#include "kernels/cuda/reduce.h"
#include "kernels/cuda/simt.h"

namespace sotalign::kernels::cuda {

inline constexpr int kColumnTile = kWarpSize;
inline constexpr int kColumnWarps = 8;
inline constexpr int kColumnThreads = kColumnTile * kColumnWarps;

/// sum_i x_ij over the rows first ... last - 1, for the columns j = tile * kColumnTile + lane below cols. The
/// threads of the first warp get the sum of their column, the others a part of it. One barrier; once per
/// kernel, since nothing waits for the shared memory to be free again.
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
