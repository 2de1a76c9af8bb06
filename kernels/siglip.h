// SigLIP: the sigmoid loss of a cosine matrix with the pairs on its diagonal, with its gradients.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With t = exp(log_scale), x_ij = t K_ij + bias, and z_ij = +1 for i = j < pairs and -1 elsewhere:
///   value = -(1/pairs) sum_ij log sigmoid(z_ij x_ij)
///   grad_k_ij      = weight d value / d K_ij  = weight/pairs t (sigmoid(x_ij) - [z_ij = 1])
///   grad_log_scale = weight d value / d log_scale,  grad_bias = weight d value / d bias
/// One pass over K. Sums are in double, row by row, and the rows are added in a fixed order. A NaN in K or in
/// the parameters makes the value NaN. In place (grad_k = k) is allowed.
struct Siglip {
  const float* k = nullptr;  ///< [rows, cols]
  int64_t k_stride = 0;
  int64_t rows = 0, cols = 0;
  int64_t pairs = 0;                 ///< 1 ... min(rows, cols)
  const float* log_scale = nullptr;  ///< [1]
  const float* bias = nullptr;       ///< [1]
  float weight = 1.0f;               ///< multiplies the gradients, not the value
  bool add_grad_parameters = false;  ///< add to *grad_log_scale and *grad_bias
  float* grad_k = nullptr;           ///< [rows, cols]
  int64_t grad_stride = 0;
  double* value = nullptr;          ///< [1]
  float* grad_log_scale = nullptr;  ///< [1]
  float* grad_bias = nullptr;       ///< [1]
  double* scratch = nullptr;        ///< [rows, 3]
};
SOTALIGN_DECLARE_OPERATION(siglip, Siglip)

}  // namespace sotalign::kernels
