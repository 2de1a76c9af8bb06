// Column sums in two launches, with one tile of 32 columns per block (column_tiles.h). The first reads x once
// and sums kColumnSumBlock rows into a row of scratch; the second sums the rows of scratch, a 64th of the
// bytes.
#include "kernels/column_sum.h"

#include "kernels/cuda/column_tiles.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

__global__ void __launch_bounds__(kColumnThreads)
    column_sum_blocks_kernel(ColumnSum args, unsigned column_tiles) {
  const int64_t block = blockIdx.x / column_tiles;
  const int64_t j = int64_t{blockIdx.x % column_tiles} * kColumnTile + threadIdx.x % kColumnTile;
  const int64_t first = block * kColumnSumBlock;
  const int64_t last = first + kColumnSumBlock < args.rows ? first + kColumnSumBlock : args.rows;
  const double sum = sum_column(args.x, args.x_stride, first, last, j, args.cols);
  if (threadIdx.x < kColumnTile && j < args.cols) args.scratch[block * args.cols + j] = sum;
}

__global__ void __launch_bounds__(kColumnThreads) column_sum_kernel(ColumnSum args, int64_t blocks) {
  const int64_t j = int64_t{blockIdx.x} * kColumnTile + threadIdx.x % kColumnTile;
  const double sum = sum_column<double>(args.scratch, args.cols, 0, blocks, j, args.cols);
  if (threadIdx.x < kColumnTile && j < args.cols) args.sum[j] = static_cast<float>(sum);
}

}  // namespace

void column_sum(const Queue& queue, const ColumnSum& args) {
  const int64_t blocks = column_sum_blocks(args.rows);
  const unsigned column_tiles = blocks_for(args.cols, kColumnTile);
  launch(queue, "column_sum: blocks", column_sum_blocks_kernel, static_cast<unsigned>(blocks) * column_tiles,
         kColumnThreads, 0, args, column_tiles);
  launch(queue, "column_sum", column_sum_kernel, column_tiles, kColumnThreads, 0, args, blocks);
}

}  // namespace sotalign::kernels::cuda
