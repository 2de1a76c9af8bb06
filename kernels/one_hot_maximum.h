// Rows of zeros with a one where their maximum is.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_ij = 1 at the first of the greatest x_ij of row i and 0 elsewhere. A NaN counts as the greatest, and is
/// then written in place of the one. x is read once and y written once.
struct OneHotMaximum {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  float* y = nullptr;  ///< [rows, cols]; may be the memory of x
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(one_hot_maximum, OneHotMaximum)

}  // namespace sotalign::kernels
