// Mean row of stacked matrices in one pass. One launch per matrix adds the sums of its kColumnMeanRanges
// ranges of rows to `sums`, with one block per range and tile of 32 columns (column_tiles.h). The last launch
// adds the ranges.
#include "kernels/column_mean.h"

#include "kernels/cuda/column_tiles.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

__global__ void __launch_bounds__(kColumnThreads)
    column_mean_ranges_kernel(ColumnMean::Part part, int64_t cols, double* sums, bool first_part,
                              unsigned column_tiles) {
  const int64_t range = blockIdx.x / column_tiles;
  const int64_t j = int64_t{blockIdx.x % column_tiles} * kColumnTile + threadIdx.x % kColumnTile;
  const int64_t size = (part.rows + kColumnMeanRanges - 1) / kColumnMeanRanges;
  const int64_t first = range * size, last = first + size < part.rows ? first + size : part.rows;
  const double sum = sum_column(part.x, part.stride, first, last, j, cols);
  if (threadIdx.x < kColumnTile && j < cols) {
    double& total = sums[range * cols + j];
    total = first_part ? sum : total + sum;
  }
}

__global__ void __launch_bounds__(kColumnThreads)
    column_mean_kernel(const double* sums, int64_t cols, double rows, double* mean) {
  const int64_t j = int64_t{blockIdx.x} * kColumnTile + threadIdx.x % kColumnTile;
  const double sum = sum_column(sums, cols, 0, kColumnMeanRanges, j, cols);
  if (threadIdx.x < kColumnTile && j < cols) mean[j] = sum / rows;
}

}  // namespace

void column_mean(const Queue& queue, const ColumnMean& args) {
  const unsigned column_tiles = blocks_for(args.cols, kColumnTile);
  double rows = 0;
  for (int64_t p = 0; p < args.part_count; ++p) {
    const ColumnMean::Part& part = args.parts[p];
    if (part.rows == 0) continue;
    launch(queue, "column_mean: ranges", column_mean_ranges_kernel,
           static_cast<unsigned>(kColumnMeanRanges) * column_tiles, kColumnThreads, 0, part, args.cols,
           args.sums, rows == 0, column_tiles);
    rows += static_cast<double>(part.rows);
  }
  launch(queue, "column_mean", column_mean_kernel, column_tiles, kColumnThreads, 0, args.sums, args.cols,
         rows, args.mean);
}

}  // namespace sotalign::kernels::cuda
