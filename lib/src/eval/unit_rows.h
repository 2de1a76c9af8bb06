// Scales rows to unit length, so that inner products are cosines.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "core/plain_nan.h"
#include "kernels/normalize_rows.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"

namespace sotalign {

/// y_i = x_i / |x_i|, in place if y is x. `norms` is [rows] or null.
inline void normalize(Context& context, ConstMatrixF x, MatrixF y, float* norms = nullptr) {
  kernels::normalize_rows(context.queue(), {.x = x.data,
                                            .x_stride = x.stride,
                                            .y = y.data,
                                            .y_stride = y.stride,
                                            .norms = norms,
                                            .rows = x.rows,
                                            .cols = x.cols});
}

inline Matrix<float> unit_rows(Context& context, ConstMatrixF x) {
  Matrix<float> unit(context, x.rows, x.cols, "unit rows");
  normalize(context, x, unit);
  return unit;
}

/// Like unit_rows(), but every row must have a direction: throws InvalidArgument for a row that is zero or
/// not finite. The message names the first one: "zero_shot: prompt 3, ...".
inline Matrix<float> unit_rows_with_direction(Context& context, ConstMatrixF x, const char* where,
                                              const char* what) {
  Matrix<float> unit(context, x.rows, x.cols, "unit rows");
  Buffer<float> norms(context, x.rows, "lengths");
  normalize(context, x, unit, norms.data());
  const std::vector<float> lengths = norms.download();
  for (size_t i = 0; i < lengths.size(); ++i)
    if (!(lengths[i] > 0 && std::isfinite(lengths[i])))
      throw InvalidArgument(fmt::format("{}: {} {}, expected a row with a direction, found one of length {}",
                                        where, what, i, plain_nan(lengths[i])));
  return unit;
}

}  // namespace sotalign
