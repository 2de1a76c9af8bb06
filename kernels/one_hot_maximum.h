// One-hot rows: a one at the maximum of each row, zeros elsewhere.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_ij = 1 at the first maximum of row i, 0 elsewhere. A NaN counts as the maximum and is written in place
/// of the one. Reads x once and writes y once.
struct OneHotMaximum {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  float* y = nullptr;  ///< [rows, cols]; may be x
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(one_hot_maximum, OneHotMaximum)

}  // namespace sotalign::kernels
