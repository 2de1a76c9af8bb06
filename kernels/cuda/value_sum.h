// Final sum of a value: each block wrote its share, and one block adds them in a fixed order.
#pragma once

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

inline constexpr int kValueThreads = 1024;

/// *value = sum of values [count]. Launch with one block of kValueThreads.
static __global__ void __launch_bounds__(kValueThreads)
    value_kernel(double* value, const double* values, int64_t count) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  double sum = 0;
  for (int64_t n = threadIdx.x; n < count; n += kValueThreads) sum += values[n];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) *value = sum;
}

}  // namespace sotalign::kernels::cuda
