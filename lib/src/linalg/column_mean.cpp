#include "sotalign/linalg/column_mean.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/plain_nan.h"
#include "kernels/column_mean.h"
#include "sotalign/core/error.h"

namespace sotalign {

std::vector<double> column_mean(Context& context, const std::vector<ConstMatrixF>& parts) {
  std::vector<kernels::ColumnMean::Part> kernel_parts;
  int64_t rows = 0;
  for (const ConstMatrixF& part : parts) {
    if (part.cols != parts[0].cols)
      throw InvalidArgument(fmt::format("column_mean: expected {} columns in every matrix, found {}",
                                        parts[0].cols, part.cols));
    kernel_parts.push_back({.x = part.data, .stride = part.stride, .rows = part.rows});
    rows += part.rows;
  }
  if (rows == 0) throw InvalidArgument("column_mean: expected at least one row, found none");

  const int64_t cols = parts[0].cols;
  std::vector<double> mean(static_cast<size_t>(cols));
  if (cols == 0) return mean;
  Workspace scratch(context);
  double* device_mean = scratch.take<double>(cols);
  kernels::column_mean(context.queue(), {.parts = kernel_parts.data(),
                                         .part_count = static_cast<int64_t>(kernel_parts.size()),
                                         .cols = cols,
                                         .sums = scratch.take<double>(kernels::kColumnMeanRanges * cols),
                                         .mean = device_mean});
  context.copy_to_host(mean.data(), device_mean, mean.size() * sizeof(double));
  const auto bad = std::find_if_not(mean.begin(), mean.end(), [](double m) { return std::isfinite(m); });
  if (bad != mean.end())
    throw InvalidArgument(
        fmt::format("column_mean: expected finite entries, found {} as the mean of column {}",
                    plain_nan(*bad), bad - mean.begin()));
  return mean;
}

}  // namespace sotalign
