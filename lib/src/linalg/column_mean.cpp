#include "sotalign/linalg/column_mean.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/plain_nan.h"
#include "kernels/column_mean.h"
#include "sotalign/core/error.h"

namespace sotalign {

std::vector<double> column_mean(Context& context, const std::vector<ConstMatrixF>& parts) {
  ColumnMeanSum sum(context, parts.empty() ? 0 : parts[0].cols);
  for (const ConstMatrixF& part : parts) sum.add(part);
  return sum.mean();
}

ColumnMeanSum::ColumnMeanSum(Context& context, int64_t cols)
    : context_(&context), cols_(cols), sums_(context, kernels::kColumnMeanSums * cols, "column sums") {}

void ColumnMeanSum::check_cols(ConstMatrixF rows) const {
  if (rows.cols != cols_)
    throw InvalidArgument(
        fmt::format("column_mean: expected {} columns in every matrix, found {}", cols_, rows.cols));
}

void ColumnMeanSum::add(ConstMatrixF rows) {
  check_cols(rows);
  if (rows.empty()) {
    rows_ += rows.rows;
    return;
  }
  const kernels::ColumnMean::Part part{.x = rows.data, .stride = rows.stride, .rows = rows.rows};
  kernels::column_mean(
      context_->queue(),
      {.parts = &part, .part_count = 1, .cols = cols_, .sums = sums_.data(), .earlier_rows = rows_});
  rows_ += rows.rows;
}

int64_t ColumnMeanSum::piece_rows(int64_t rows) { return kernels::column_mean_range_rows(rows); }

void ColumnMeanSum::add_piece(ConstMatrixF piece, int64_t number, int64_t rows) {
  check_cols(piece);
  const int64_t height = piece_rows(rows);
  if (number < 0 || piece.rows < 1 || piece.rows != std::min(height, rows - number * height))
    throw InvalidArgument(fmt::format("column_mean: expected piece {} of {} rows, {} each, found {} rows",
                                      number, rows, height, piece.rows));
  if (cols_ > 0) {
    const kernels::ColumnMean::Part part{.x = piece.data,
                                         .stride = piece.stride,
                                         .rows = piece.rows,
                                         .range_rows = height,
                                         .first_range = number};
    kernels::column_mean(
        context_->queue(),
        {.parts = &part, .part_count = 1, .cols = cols_, .sums = sums_.data(), .earlier_rows = rows_});
  }
  rows_ += piece.rows;
}

std::vector<double> ColumnMeanSum::mean() {
  if (rows_ == 0) throw InvalidArgument("column_mean: expected at least one row, found none");
  std::vector<double> mean(static_cast<size_t>(cols_));
  if (cols_ == 0) return mean;
  Workspace scratch(*context_);
  double* device_mean = scratch.take<double>(cols_);
  kernels::column_mean(context_->queue(),
                       {.cols = cols_, .sums = sums_.data(), .earlier_rows = rows_, .mean = device_mean});
  context_->copy_to_host(mean.data(), device_mean, mean.size() * sizeof(double));
  const auto bad = std::find_if_not(mean.begin(), mean.end(), [](double m) { return std::isfinite(m); });
  if (bad != mean.end())
    throw InvalidArgument(
        fmt::format("column_mean: expected finite entries, found {} as the mean of column {}",
                    plain_nan(*bad), bad - mean.begin()));
  return mean;
}

}  // namespace sotalign
