// Mean row of one matrix or of several stacked matrices.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Each matrix's rows are split into this many equal ranges, whose sums are added in a fixed order: the
/// result does not depend on the number of threads.
inline constexpr int64_t kColumnMeanRanges = 64;

/// mean_j = (sum_i x_ij) / rows, over the rows of all parts, in double. One pass.
struct ColumnMean {
  struct Part {
    const float* x = nullptr;  ///< [rows, cols]
    int64_t stride = 0;
    int64_t rows = 0;
  };
  const Part* parts = nullptr;  ///< [part_count], in host memory; at least one row in total
  int64_t part_count = 0;
  int64_t cols = 0;
  double* sums = nullptr;  ///< [kColumnMeanRanges, cols], scratch
  double* mean = nullptr;  ///< [cols]
};
SOTALIGN_DECLARE_OPERATION(column_mean, ColumnMean)

}  // namespace sotalign::kernels
