// Gathers rows by index: takes a batch out of a data set.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_i = x_{index_i}. Indices are not checked. x and y must not overlap.
struct GatherRows {
  const float* x = nullptr;  ///< [any, cols]
  int64_t x_stride = 0;
  const int64_t* index = nullptr;  ///< [rows], rows of x; may repeat
  float* y = nullptr;              ///< [rows, cols]
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(gather_rows, GatherRows)

}  // namespace sotalign::kernels
