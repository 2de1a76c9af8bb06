// Cross-entropy between target distributions and the row softmaxes of a cosine matrix, with gradients.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With t = exp(log_scale), q = softmax(t k) along a row, and targets T whose rows have mass 1:
///   value = -(1/rows) sum_ij T_ij log q_ij
///   grad_k_ij      = weight d value / d k_ij       = weight/rows t (q_ij - T_ij)
///   grad_log_scale = weight d value / d log_scale  = weight/rows t sum_ij (q_ij - T_ij) k_ij
/// Maxima are subtracted. A row of K is read several times, but from memory only once if it fits in cache; T
/// is read once. Sums are in double, row by row, and the rows are added in a fixed order. A NaN in K, T or
/// log_scale makes the value NaN.
struct SoftCrossEntropy {
  const float* k = nullptr;  ///< [rows, cols]
  int64_t k_stride = 0;
  const float* targets = nullptr;  ///< [rows, cols]
  int64_t targets_stride = 0;
  int64_t rows = 0, cols = 0;
  const float* log_scale = nullptr;  ///< [1]
  float weight = 1.0f;               ///< multiplies the gradients, not the value
  float* grad_k = nullptr;           ///< [rows, cols]; may overwrite k or the targets
  int64_t grad_stride = 0;
  double* value = nullptr;          ///< [1]
  float* grad_log_scale = nullptr;  ///< [1]
  bool add_grad_log_scale = false;  ///< add to *grad_log_scale
  void* scratch = nullptr;          ///< soft_cross_entropy_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(soft_cross_entropy, SoftCrossEntropy)

}  // namespace sotalign::kernels
