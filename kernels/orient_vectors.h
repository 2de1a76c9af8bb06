// Fixes the sign of eigenvectors and singular vectors, which their decomposition leaves open.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Negates row i of `rows` and column i of `columns` if the row's component of largest magnitude is negative.
/// Components within 1e-6 of that magnitude tie, and the first of them decides, so rounding does not choose
/// between 0.7071 and -0.7071. In place, one pass over each matrix.
struct OrientVectors {
  double* rows = nullptr;  ///< [count, row_size]
  int64_t rows_stride = 0;
  int64_t count = 0, row_size = 0;
  double* columns = nullptr;  ///< [column_size, count], or null
  int64_t columns_stride = 0;
  int64_t column_size = 0;
  double* signs = nullptr;  ///< [count], output: 1 or -1
};
SOTALIGN_DECLARE_OPERATION(orient_vectors, OrientVectors)

}  // namespace sotalign::kernels
