// Log-sum-exp of a matrix along its rows and columns, in one read: the normalisers of InfoNCE's softmaxes.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With x_ij = c k_ij:  row_i = log sum_j exp(x_ij),  column_j = log sum_i exp(x_ij). Two exponentials per
/// entry, plus a few to rescale the column sums. Maxima are subtracted, so any finite x is safe. Results are
/// double because they reach hundreds at small epsilon.
struct LogSumExp {
  const float* k = nullptr;  ///< [rows, cols], at least 1 x 1
  int64_t stride = 0;
  int64_t rows = 0, cols = 0;
  float c = 1.0f;            ///< 1 / epsilon
  double* row = nullptr;     ///< [rows]
  double* column = nullptr;  ///< [cols]
  void* scratch = nullptr;   ///< log_sum_exp_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(log_sum_exp, LogSumExp)

}  // namespace sotalign::kernels
