// The mean row of one matrix or of several stacked on top of each other.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Sums are formed for this many equal ranges of a matrix's rows and then added in a fixed order, so the
/// result is the same for any number of threads.
inline constexpr int64_t kColumnMeanRanges = 64;

/// mean_j = sum_i x_ij / rows over the rows of all parts, in double throughout. One pass.
struct ColumnMean {
  struct Part {
    const float* x = nullptr;  ///< [rows, cols]
    int64_t stride = 0;
    int64_t rows = 0;
  };
  const Part* parts = nullptr;  ///< [part_count], in host memory; at least one row in all
  int64_t part_count = 0;
  int64_t cols = 0;
  double* sums = nullptr;  ///< [kColumnMeanRanges, cols], scratch
  double* mean = nullptr;  ///< [cols]
};
SOTALIGN_DECLARE_OPERATION(column_mean, ColumnMean)

}  // namespace sotalign::kernels
