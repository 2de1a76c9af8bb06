// Bias and activation of a linear layer, forward and backward. The gradient of the bias is the column sum
// (column_sum.h) of the dx computed here.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

enum class Activation {
  kNone,  ///< z
  kRelu,  ///< max(z, 0)
  kGelu,  ///< z Phi(z), the exact form with the error function
  kTanh,
};

/// True if the backward pass needs the forward pass's x rather than its y; y must then not overwrite x.
constexpr bool backward_needs_input(Activation activation) { return activation == Activation::kGelu; }

/// y_ij = activation(x_ij + bias_j). One pass over x. In place (y = x) is allowed. NaN stays NaN.
struct BiasActivation {
  Activation activation = Activation::kNone;
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  const float* bias = nullptr;  ///< [cols]
  float* y = nullptr;           ///< [rows, cols]
  int64_t y_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(bias_activation, BiasActivation)

/// dx_ij = dy_ij activation'(x_ij + bias_j). One pass over dy and saved. In place (dx = dy) is allowed.
struct BiasActivationBackward {
  Activation activation = Activation::kNone;
  const float* saved = nullptr;  ///< [rows, cols]: the forward pass's x for kGelu, its y otherwise
  int64_t saved_stride = 0;
  const float* bias = nullptr;  ///< [cols]
  const float* dy = nullptr;    ///< [rows, cols]
  int64_t dy_stride = 0;
  float* dx = nullptr;  ///< [rows, cols]
  int64_t dx_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(bias_activation_backward, BiasActivationBackward)

}  // namespace sotalign::kernels
