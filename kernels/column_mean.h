// Mean row of one matrix or of several stacked matrices.
#pragma once

#include <algorithm>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// The rows of each matrix are divided into ranges. Range k is added to sum k % kColumnMeanSums, in the order
/// of k, and the sums are added in a fixed order: the result does not depend on the number of threads.
inline constexpr int64_t kColumnMeanSums = 64;
/// Most rows of a range, so that a piece of a large matrix, which arrives range by range, fits into memory.
inline constexpr int64_t kColumnMeanRange = 16384;

/// mean_j = (sum_i x_ij) / rows, over the rows of all parts, in double. One pass.
struct ColumnMean {
  struct Part {
    const float* x = nullptr;  ///< [rows, cols]
    int64_t stride = 0;
    int64_t rows = 0;
    /// For a piece of a matrix that begins at range `first_range`: the range_rows() of the whole.
    int64_t range_rows = 0;
    int64_t first_range = 0;
  };
  const Part* parts = nullptr;  ///< [part_count], in host memory
  int64_t part_count = 0;
  int64_t cols = 0;
  double* sums = nullptr;  ///< [kColumnMeanSums, cols]
  /// Rows that `sums` contains already, from an earlier call; 0: sums are overwritten. At least one row in
  /// total.
  int64_t earlier_rows = 0;
  double* mean = nullptr;  ///< [cols]; null: only the sums are wanted
};
SOTALIGN_DECLARE_OPERATION(column_mean, ColumnMean)

/// Rows of a range of a matrix with so many rows.
constexpr int64_t column_mean_range_rows(int64_t rows) {
  return std::clamp((rows + kColumnMeanSums - 1) / kColumnMeanSums, int64_t{1}, kColumnMeanRange);
}
constexpr int64_t column_mean_range_rows(const ColumnMean::Part& part) {
  return part.range_rows > 0 ? part.range_rows : column_mean_range_rows(part.rows);
}
/// All rows, those of earlier calls among them.
inline double column_mean_rows(const ColumnMean& args) {
  auto rows = static_cast<double>(args.earlier_rows);
  for (int64_t p = 0; p < args.part_count; ++p) rows += static_cast<double>(args.parts[p].rows);
  return rows;
}

}  // namespace sotalign::kernels
