// Subtracts one row, the mean, from every row of a matrix.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_i = x_i - mean, computed in T (float or double). One pass. With T = float, in place (y = x) is allowed.
template <class T>
struct CenterRows {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  const T* mean = nullptr;  ///< [cols]
  T* y = nullptr;           ///< [rows, cols]
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(center_rows, CenterRows<float>)
SOTALIGN_DECLARE_OPERATION(center_rows, CenterRows<double>)

}  // namespace sotalign::kernels
