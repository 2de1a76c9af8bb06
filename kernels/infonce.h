// Generalised InfoNCE divergence between a student affinity K and a teacher affinity K*: value and gradient.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// An affinity with its log-sum-exp vectors (log_sum_exp.h).
struct SoftmaxOperand {
  const float* k = nullptr;  ///< [rows, cols]
  int64_t stride = 0;
  float c = 1.0f;                  ///< 1 / epsilon
  const double* row = nullptr;     ///< [rows], log sum_j exp(c k_ij)
  const double* column = nullptr;  ///< [cols], log sum_i exp(c k_ij)
};

/// With p and q the softmaxes of student and teacher, ^r along rows and ^s along columns:
///   value = 1/2 (1/rows sum_i KL(q^r_i || p^r_i) + 1/cols sum_j KL(q^s_j || p^s_j))
///   gradient_ij = gradient_scale c/2 ((p^r_ij - q^r_ij) / rows + (p^s_ij - q^s_ij) / cols)
/// Reads K and K* once, with four exponentials per entry, and stores no softmax. Together with the two calls
/// of log_sum_exp, K and K* are read twice each and the gradient is written once. The value is summed in
/// double; a NaN in either affinity makes it NaN.
struct InfoNce {
  SoftmaxOperand student, teacher;
  int64_t rows = 0, cols = 0;
  float* gradient = nullptr;  ///< [rows, cols] or null; may overwrite either affinity
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the value
  double* value = nullptr;      ///< [1]
  void* scratch = nullptr;      ///< infonce_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(infonce, InfoNce)

}  // namespace sotalign::kernels
