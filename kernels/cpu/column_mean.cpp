// One pass. Threads share sums and blocks of columns; a second loop adds the sums in a fixed order. Rows are
// added four at a time: one at a time, the double sums would cause more traffic than x itself.
#include "kernels/column_mean.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

namespace {

constexpr int64_t kColumnBlock = 512;

/// Adds columns [begin, end) of rows [first, last) to `sums`.
void add_rows(const ColumnMean::Part& part, int64_t first, int64_t last, int64_t begin, int64_t end,
              double* sums) {
  int64_t i = first;
  for (; i + 4 <= last; i += 4) {
    const float* a = part.x + i * part.stride;
    const float* b = a + part.stride;
    const float* c = b + part.stride;
    const float* d = c + part.stride;
#pragma omp simd
    for (int64_t j = begin; j < end; ++j)
      sums[j] += (static_cast<double>(a[j]) + static_cast<double>(b[j])) +
                 (static_cast<double>(c[j]) + static_cast<double>(d[j]));
  }
  for (; i < last; ++i) {
    const float* a = part.x + i * part.stride;
#pragma omp simd
    for (int64_t j = begin; j < end; ++j) sums[j] += static_cast<double>(a[j]);
  }
}

/// Adds the part's ranges of one sum.
void add_ranges(const ColumnMean::Part& part, int64_t sum, int64_t begin, int64_t end, double* sums) {
  const int64_t size = column_mean_range_rows(part);
  // The first range k of the part with (first_range + k) % kColumnMeanSums == sum.
  const int64_t k = (sum - part.first_range % kColumnMeanSums + kColumnMeanSums) % kColumnMeanSums;
  for (int64_t first = k * size; first < part.rows; first += kColumnMeanSums * size)
    add_rows(part, first, std::min(part.rows, first + size), begin, end, sums);
}

}  // namespace

void column_mean(const Queue& queue, const ColumnMean& args) {
  const int64_t cols = args.cols;
  const double rows = column_mean_rows(args);
#pragma omp parallel num_threads(queue.threads)
  {
#pragma omp for schedule(static) collapse(2)
    for (int64_t sum = 0; sum < kColumnMeanSums; ++sum)
      for (int64_t begin = 0; begin < cols; begin += kColumnBlock) {
        const int64_t end = std::min(cols, begin + kColumnBlock);
        double* sums = args.sums + sum * cols;
        if (args.earlier_rows == 0) std::fill(sums + begin, sums + end, 0.0);
        for (int64_t p = 0; p < args.part_count; ++p) add_ranges(args.parts[p], sum, begin, end, sums);
      }
    if (args.mean != nullptr) {
#pragma omp for schedule(static)
      for (int64_t j = 0; j < cols; ++j) {
        double total = 0;
        for (int64_t sum = 0; sum < kColumnMeanSums; ++sum) total += args.sums[sum * cols + j];
        args.mean[j] = total / rows;
      }
    }
  }
}

}  // namespace sotalign::kernels::cpu
