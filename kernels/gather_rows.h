// Rows picked by index: how a batch is taken out of a data set.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_i = x_index_i. The caller vouches for the indices. x and y do not overlap.
struct GatherRows {
  const float* x = nullptr;  ///< [any, cols]
  int64_t x_stride = 0;
  const int64_t* index = nullptr;  ///< [rows], rows of x, repetitions allowed
  float* y = nullptr;              ///< [rows, cols]
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(gather_rows, GatherRows)

}  // namespace sotalign::kernels
