#include "sotalign/nn/preprocess.h"

#include <fmt/format.h>

#include "kernels/center_rows.h"
#include "kernels/normalize_rows.h"
#include "nn/preprocess_rows.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/column_mean.h"

namespace sotalign {

Preprocessing fit_preprocessing(Context& context, const std::vector<ConstMatrixF>& parts) {
  const std::vector<double> mean = column_mean(context, parts);
  return {std::vector<float>(mean.begin(), mean.end())};
}

void preprocess(Context& context, const Preprocessing& preprocessing, ConstMatrixF x, MatrixF y) {
  const int64_t cols = static_cast<int64_t>(preprocessing.mean.size());
  if (x.cols != cols || y.rows != x.rows || y.cols != x.cols)
    throw InvalidArgument(fmt::format("preprocess: the mean has {} columns, x is [{}, {}], y is [{}, {}]",
                                      cols, x.rows, x.cols, y.rows, y.cols));
  if (x.empty()) return;
  Workspace scratch(context);
  float* mean = scratch.take<float>(cols);
  context.copy_to_device(mean, preprocessing.mean.data(), preprocessing.mean.size() * sizeof(float));
  detail::preprocess_rows(context, mean, x, y);
}

void detail::preprocess_rows(Context& context, const float* mean, ConstMatrixF x, MatrixF y) {
  if (x.empty()) return;
  kernels::center_rows(context.queue(), kernels::CenterRows<float>{.x = x.data,
                                                                   .x_stride = x.stride,
                                                                   .mean = mean,
                                                                   .y = y.data,
                                                                   .y_stride = y.stride,
                                                                   .rows = x.rows,
                                                                   .cols = x.cols});
  kernels::normalize_rows(context.queue(), {.x = y.data,
                                            .x_stride = y.stride,
                                            .y = y.data,
                                            .y_stride = y.stride,
                                            .norms = nullptr,
                                            .rows = x.rows,
                                            .cols = x.cols});
}

}  // namespace sotalign
