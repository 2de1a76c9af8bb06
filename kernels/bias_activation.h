// What follows the matrix product of a linear layer, and its backward pass. The gradient of the bias is
// column_sum.h over the dx computed here.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

enum class Activation {
  kNone,  ///< z
  kRelu,  ///< max(z, 0)
  kGelu,  ///< z Phi(z), the exact form with the error function
  kTanh,
};

/// The backward pass needs the x of the forward pass, not only its y: then y is a matrix of its own.
constexpr bool backward_needs_input(Activation activation) { return activation == Activation::kGelu; }

/// y_ij = activation(x_ij + bias_j). One pass over x. x and y may be the same memory. NaN stays NaN.
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

/// dx_ij = dy_ij activation'(x_ij + bias_j). One pass over dy and saved. dy and dx may be the same memory.
struct BiasActivationBackward {
  Activation activation = Activation::kNone;
  const float* saved = nullptr;  ///< [rows, cols]: the x of the forward pass for kGelu, its y otherwise
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
