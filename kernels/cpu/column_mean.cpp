// One pass. Each thread owns ranges of rows; a second loop adds the ranges in a fixed order. Rows are added
// four at a time: one at a time, the double sums would cause more traffic than x itself.
#include "kernels/column_mean.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

namespace {
void add_rows(const ColumnMean::Part& part, int64_t first, int64_t last, int64_t cols, double* sums) {
  int64_t i = first;
  for (; i + 4 <= last; i += 4) {
    const float* a = part.x + i * part.stride;
    const float* b = a + part.stride;
    const float* c = b + part.stride;
    const float* d = c + part.stride;
#pragma omp simd
    for (int64_t j = 0; j < cols; ++j)
      sums[j] += (static_cast<double>(a[j]) + static_cast<double>(b[j])) +
                 (static_cast<double>(c[j]) + static_cast<double>(d[j]));
  }
  for (; i < last; ++i) {
    const float* a = part.x + i * part.stride;
#pragma omp simd
    for (int64_t j = 0; j < cols; ++j) sums[j] += static_cast<double>(a[j]);
  }
}
}  // namespace

void column_mean(const Queue& queue, const ColumnMean& args) {
  const int64_t cols = args.cols;
  double rows = 0;
  for (int64_t p = 0; p < args.part_count; ++p) rows += static_cast<double>(args.parts[p].rows);
#pragma omp parallel num_threads(queue.threads)
  {
#pragma omp for schedule(static)
    for (int64_t range = 0; range < kColumnMeanRanges; ++range) {
      double* sums = args.sums + range * cols;
      std::fill_n(sums, cols, 0.0);
      for (int64_t p = 0; p < args.part_count; ++p) {
        const ColumnMean::Part& part = args.parts[p];
        const int64_t size = (part.rows + kColumnMeanRanges - 1) / kColumnMeanRanges;
        add_rows(part, std::min(part.rows, range * size), std::min(part.rows, (range + 1) * size), cols,
                 sums);
      }
    }
#pragma omp for schedule(static)
    for (int64_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (int64_t range = 0; range < kColumnMeanRanges; ++range) sum += args.sums[range * cols + j];
      args.mean[j] = sum / rows;
    }
  }
}

}  // namespace sotalign::kernels::cpu
