// Jensen-Shannon divergence of the softmaxes along the rows of two similarity matrices, with its gradient:
// what the STRUCTURE regulariser adds up.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With p and q the softmaxes of c s0 and c s along a row, and m = (p + q) / 2:
///   JS_i = 1/2 KL(p || m) + 1/2 KL(q || m),   value = weight sum_i JS_i
///   gradient_ij = gradient_scale weight c q_ij (g_ij - sum_l q_il g_il),   g = 1/2 log(q / m)
/// which is gradient_scale times that of the value with respect to s. Maxima are subtracted: entries
/// of any size are safe, and a softmax that is 0 adds what it does in the limit. Both matrices are read three
/// times, row by row, so that two of these find a row in cache. Rows' divergences are summed in double and
/// those of the rows added in a fixed order. An entry that is not finite makes the value NaN.
struct JensenShannon {
  const float* s = nullptr;  ///< [rows, cols]
  int64_t s_stride = 0;
  const float* s0 = nullptr;  ///< [rows, cols]
  int64_t s0_stride = 0;
  int64_t rows = 0, cols = 0;
  float c = 1.0f;             ///< 1 / temperature
  double weight = 1.0;        ///< 1 over the number of rows makes the value a mean
  float* gradient = nullptr;  ///< [rows, cols], or null; may be the memory of s or of s0
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;
  double* value = nullptr;  ///< [1]
  bool add_value = false;   ///< to what is in `value`: matrices may come in strips of rows
  void* scratch = nullptr;  ///< jensen_shannon_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(jensen_shannon, JensenShannon)

}  // namespace sotalign::kernels
