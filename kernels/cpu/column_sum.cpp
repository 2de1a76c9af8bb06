// One pass. Each thread sums whole blocks of rows into the block's row of scratch, which stays in L1; a
// second loop adds the blocks in order. Adding four rows at a time reads and writes the scratch row a quarter
// as often.
#include "kernels/column_sum.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

void column_sum(const Queue& queue, const ColumnSum& args) {
  const int64_t cols = args.cols, blocks = column_sum_blocks(args.rows);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    double* sum = args.scratch + block * cols;
    std::fill_n(sum, cols, 0.0);
    const int64_t end = std::min(args.rows, (block + 1) * kColumnSumBlock);
    int64_t i = block * kColumnSumBlock;
    for (; i + 4 <= end; i += 4) {
      const float* x0 = args.x + i * args.x_stride;
      const float* x1 = x0 + args.x_stride;
      const float* x2 = x1 + args.x_stride;
      const float* x3 = x2 + args.x_stride;
#pragma omp simd
      for (int64_t j = 0; j < cols; ++j)
        sum[j] += (static_cast<double>(x0[j]) + x1[j]) + (static_cast<double>(x2[j]) + x3[j]);
    }
    for (; i < end; ++i) {
      const float* x = args.x + i * args.x_stride;
#pragma omp simd
      for (int64_t j = 0; j < cols; ++j) sum[j] += x[j];
    }
  }
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t j = 0; j < cols; ++j) {
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += args.scratch[block * cols + j];
    args.sum[j] = static_cast<float>(sum);
  }
}

}  // namespace sotalign::kernels::cpu
