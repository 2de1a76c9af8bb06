// Mean row of stacked matrices in one pass. One launch for each matrix, and for each kColumnMeanSums ranges
// of a large one, adds ranges of rows to `sums`, with one block per range and tile of 32 columns
// (column_tiles.h). The last launch adds the sums.
#include "kernels/column_mean.h"

#include "kernels/cuda/column_tiles.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

/// Range `blockIdx.x / column_tiles` of `part`, which has one range for each sum at most.
__global__ void __launch_bounds__(kColumnThreads)
    column_mean_ranges_kernel(ColumnMean::Part part, int64_t cols, double* sums, bool overwrite,
                              unsigned column_tiles) {
  const int64_t range = blockIdx.x / column_tiles;
  const int64_t j = int64_t{blockIdx.x % column_tiles} * kColumnTile + threadIdx.x % kColumnTile;
  const int64_t first = range * part.range_rows,
                last = first + part.range_rows < part.rows ? first + part.range_rows : part.rows;
  const double sum = sum_column(part.x, part.stride, first, last, j, cols);
  if (threadIdx.x < kColumnTile && j < cols) {
    double& total = sums[(part.first_range + range) % kColumnMeanSums * cols + j];
    total = overwrite ? sum : total + sum;
  }
}

__global__ void __launch_bounds__(kColumnThreads)
    column_mean_kernel(const double* sums, int64_t cols, double rows, double* mean) {
  const int64_t j = int64_t{blockIdx.x} * kColumnTile + threadIdx.x % kColumnTile;
  const double sum = sum_column(sums, cols, 0, kColumnMeanSums, j, cols);
  if (threadIdx.x < kColumnTile && j < cols) mean[j] = sum / rows;
}

}  // namespace

void column_mean(const Queue& queue, const ColumnMean& args) {
  const unsigned column_tiles = blocks_for(args.cols, kColumnTile);
  bool overwrite = args.earlier_rows == 0;
  for (int64_t p = 0; p < args.part_count; ++p) {
    ColumnMean::Part rest = args.parts[p];
    rest.range_rows = column_mean_range_rows(rest);
    while (rest.rows > 0) {
      ColumnMean::Part wave = rest;
      wave.rows = std::min(rest.rows, kColumnMeanSums * rest.range_rows);
      // The launch that overwrites writes every sum, also those without a range.
      const int64_t ranges =
          overwrite ? kColumnMeanSums : (wave.rows + wave.range_rows - 1) / wave.range_rows;
      launch(queue, "column_mean: ranges", column_mean_ranges_kernel,
             static_cast<unsigned>(ranges) * column_tiles, kColumnThreads, 0, wave, args.cols, args.sums,
             overwrite, column_tiles);
      overwrite = false;
      rest.x += wave.rows * rest.stride;
      rest.rows -= wave.rows;
      rest.first_range += kColumnMeanSums;
    }
  }
  if (args.mean != nullptr)
    launch(queue, "column_mean", column_mean_kernel, column_tiles, kColumnThreads, 0, args.sums, args.cols,
           column_mean_rows(args), args.mean);
}

}  // namespace sotalign::kernels::cuda
