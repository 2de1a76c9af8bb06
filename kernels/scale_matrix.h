// Scales rows and columns of a double matrix, and converts the result to T.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// y_ij = r_i x_ij c_j; a null factor is 1. T is float or double. With T = double, in place (y = x) is
/// allowed.
template <class T>
struct ScaleMatrix {
  const double* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  const double* row_factors = nullptr;     ///< [rows], or null
  const double* column_factors = nullptr;  ///< [cols], or null
  T* y = nullptr;                          ///< [rows, cols]
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(scale_matrix, ScaleMatrix<float>)
SOTALIGN_DECLARE_OPERATION(scale_matrix, ScaleMatrix<double>)

}  // namespace sotalign::kernels
