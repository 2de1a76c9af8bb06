// Column sums of a matrix: the gradient of a bias.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Rows are summed in blocks of this many; the blocks are then added in a fixed order, whatever the number of
/// threads.
inline constexpr int64_t kColumnSumBlock = 128;
constexpr int64_t column_sum_blocks(int64_t rows) { return (rows + kColumnSumBlock - 1) / kColumnSumBlock; }

/// sum_j = sum_i x_ij, accumulated in double; zeros if there are no rows. One pass over x.
struct ColumnSum {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  float* sum = nullptr;       ///< [cols], overwritten
  double* scratch = nullptr;  ///< [column_sum_blocks(rows), cols]
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(column_sum, ColumnSum)

}  // namespace sotalign::kernels
