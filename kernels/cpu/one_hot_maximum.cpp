// Each thread owns whole rows. One vectorised comparison skips a block of columns without a new maximum, soon
// nearly all of them.
#include "kernels/one_hot_maximum.h"

#include <algorithm>
#include <cmath>

namespace sotalign::kernels::cpu {

namespace {

constexpr int64_t kBlock = 64;  // columns

int64_t first_maximum(const float* x, int64_t count) {
  int64_t place = 0;
  for (int64_t first = 1; first < count && !std::isnan(x[place]); first += kBlock) {
    const int64_t last = std::min(first + kBlock, count);
    const float best = x[place];
    int32_t candidates = 0;
#pragma omp simd reduction(+ : candidates)
    for (int64_t j = first; j < last; ++j) candidates += x[j] <= best ? 0 : 1;  // a NaN counts
    if (candidates == 0) continue;
    // Nothing compares greater than a NaN, so it stays.
    for (int64_t j = first; j < last; ++j)
      if (x[j] > x[place] || (std::isnan(x[j]) && !std::isnan(x[place]))) place = j;
  }
  return place;
}

}  // namespace

void one_hot_maximum(const Queue& queue, const OneHotMaximum& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    float* y = args.y + i * args.y_stride;
    const int64_t place = first_maximum(x, args.cols);
    const float one = std::isnan(x[place]) ? x[place] : 1.0f;
    std::fill_n(y, args.cols, 0.0f);
    y[place] = one;
  }
}

}  // namespace sotalign::kernels::cpu
