// Sum of exponentials along a row, in one read and little more than one exponential per entry. Each thread
// keeps its own maximum and the sum relative to it; it loads several entries at a time and rescales the sum
// once for all of them. The threads' sums are then rescaled to their largest maximum and added.
#pragma once

#include "kernels/cuda/entropic.h"

namespace sotalign::kernels::cuda {

/// A thread's part of sum_j exp(x_j).
struct PartialSum {
  float maximum;
  double sum;  ///< of exp(x_j - maximum)

  __device__ __forceinline__ double relative_to(float top) const {
    return sum * static_cast<double>(exp_clamped(maximum - top));
  }
};

/// Sum of exp(x_j), x_j = c k_j + potential(j), over j = first, first + step, ... below count.
template <class Potential>
__device__ __forceinline__ PartialSum sum_of_exponentials(const float* k, float c, int64_t first,
                                                          int64_t step, int64_t count, Potential potential) {
  constexpr int kAtOnce = 8;
  PartialSum result{kNoMaximum, 0};
  for (int64_t j = first; j < count; j += kAtOnce * step) {
    float entries[kAtOnce], potentials[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int64_t column = j + n * step;
      entries[n] = column < count ? k[column] : 0.0f;
      potentials[n] = column < count ? potential(column) : -INFINITY;
    }
    float top = result.maximum;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) top = fmaxf(top, fmaf(c, entries[n], potentials[n]));
    float part = 0;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) part += exp_clamped(fmaf(c, entries[n], -top) + potentials[n]);
    result = {top, result.relative_to(top) + static_cast<double>(part)};
  }
  return result;
}

/// Shared memory of row_log_sum.
struct RowSumScratch {
  float maxima[kMaxWarps];
  double sums[kMaxWarps];
};
/// log sum_j exp(c k_j) over a row, by a whole block; all threads get the result.
__device__ __forceinline__ double row_log_sum(const float* k, float c, int64_t count,
                                              RowSumScratch& scratch) {
  const PartialSum part =
      sum_of_exponentials(k, c, threadIdx.x, blockDim.x, count, [](int64_t) { return 0.0f; });
  const float top = block_reduce(part.maximum, scratch.maxima, kNoMaximum, Maximum{});
  return static_cast<double>(top) + log(block_sum(part.relative_to(top), scratch.sums));
}

}  // namespace sotalign::kernels::cuda
