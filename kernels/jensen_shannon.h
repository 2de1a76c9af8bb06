// Jensen-Shannon divergence between the row softmaxes of two similarity matrices, with its gradient: the
// terms of the STRUCTURE regulariser.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With p and q the softmaxes of c s0 and c s along a row, and m = (p + q) / 2:
///   JS_i = 1/2 KL(p || m) + 1/2 KL(q || m),   value = weight sum_i JS_i
///   gradient_ij = gradient_scale d value / d s_ij
///               = gradient_scale weight c q_ij (g_ij - sum_l q_il g_il),   g = 1/2 log(q / m)
/// Maxima are subtracted, so entries of any size are safe; a softmax entry of 0 contributes its limit. A pair
/// of rows is read several times, but from memory only once if it fits in cache. Sums are in double, row by
/// row, and the rows are added in a fixed order. A non-finite entry makes the value NaN.
struct JensenShannon {
  const float* s = nullptr;  ///< [rows, cols]
  int64_t s_stride = 0;
  const float* s0 = nullptr;  ///< [rows, cols]
  int64_t s0_stride = 0;
  int64_t rows = 0, cols = 0;
  float c = 1.0f;             ///< 1 / temperature
  double weight = 1.0;        ///< 1 / rows makes the value a mean
  float* gradient = nullptr;  ///< [rows, cols] or null; may overwrite s or s0
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;
  double* value = nullptr;  ///< [1]
  bool add_value = false;   ///< add to *value, for matrices that come in strips of rows
  void* scratch = nullptr;  ///< jensen_shannon_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(jensen_shannon, JensenShannon)

}  // namespace sotalign::kernels
