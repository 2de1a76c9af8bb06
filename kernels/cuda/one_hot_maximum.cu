// One block per row, which reads it once and writes it once. Each thread keeps the first maximum of its
// entries, kThreads apart; the block reduces these to the maximum and then to the first position where it
// occurs.
#include "kernels/one_hot_maximum.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

struct Minimum {
  __device__ __forceinline__ int64_t operator()(int64_t a, int64_t b) const { return a < b ? a : b; }
};

__global__ void __launch_bounds__(kThreads) one_hot_maximum_kernel(OneHotMaximum args) {
  SOTALIGN_SHARED(float, maxima, [kMaxWarps]);
  SOTALIGN_SHARED(int64_t, places, [kMaxWarps]);
  constexpr int64_t kNowhere = std::numeric_limits<int64_t>::max();
  const int64_t i = blockIdx.x;
  const float* x = args.x + i * args.x_stride;
  float* y = args.y + i * args.y_stride;
  float best = -INFINITY;
  int64_t place = kNowhere;
#pragma unroll 8
  for (int64_t j = threadIdx.x; j < args.cols; j += kThreads) {
    const float entry = x[j];
    // Nothing compares greater than a NaN, so it stays.
    if (place == kNowhere || entry > best || (std::isnan(entry) && !std::isnan(best))) {
      best = entry;
      place = j;
    }
  }
  const float top = block_reduce(best, maxima, -INFINITY, Maximum{});
  const bool there = best == top || (std::isnan(best) && std::isnan(top));
  const int64_t first = block_reduce(there ? place : kNowhere, places, kNowhere, Minimum{});
  const float one = std::isnan(top) ? top : 1.0f;
#pragma unroll 8
  for (int64_t j = threadIdx.x; j < args.cols; j += kThreads) y[j] = j == first ? one : 0.0f;
}

}  // namespace

void one_hot_maximum(const Queue& queue, const OneHotMaximum& args) {
  launch(queue, "one_hot_maximum", one_hot_maximum_kernel, static_cast<unsigned>(args.rows), kThreads, 0,
         args);
}

}  // namespace sotalign::kernels::cuda
