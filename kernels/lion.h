// One Lion step (Chen et al. 2023) on a flat parameter array.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// c = beta1 m + (1 - beta1) g
/// w <- w - learning_rate (sign(c) + decay w), sign(0) = 0, sign(NaN) = NaN
/// m <- beta2 m + (1 - beta2) g
/// decay = weight_decay for the first decayed_count entries, 0 for the rest. One pass over the three arrays.
struct Lion {
  float* weights = nullptr;          ///< [count]
  const float* gradients = nullptr;  ///< [count]
  float* momentum = nullptr;         ///< [count], zero before the first step
  int64_t count = 0;
  int64_t decayed_count = 0;  ///< 0 ... count
  double learning_rate = 0;
  double beta1 = 0, beta2 = 0;
  double weight_decay = 0;
};
SOTALIGN_DECLARE_OPERATION(lion, Lion)

}  // namespace sotalign::kernels
