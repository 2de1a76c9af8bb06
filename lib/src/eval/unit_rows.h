// Copies of matrices with rows of unit length, so that inner products are cosines.
#pragma once

#include "kernels/normalize_rows.h"
#include "sotalign/core/buffer.h"

namespace sotalign {

inline Matrix<float> unit_rows(Context& context, ConstMatrixF x) {
  Matrix<float> unit(context, x.rows, x.cols, "unit rows");
  kernels::normalize_rows(context.queue(), {.x = x.data,
                                            .x_stride = x.stride,
                                            .y = unit.data(),
                                            .y_stride = x.cols,
                                            .rows = x.rows,
                                            .cols = x.cols});
  return unit;
}

}  // namespace sotalign
