// One AdamW step (Loshchilov and Hutter 2019) on a flat parameter array, following PyTorch's conventions.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// w <- w (1 - learning_rate decay); decay = weight_decay for the first decayed_count entries, 0 for the rest
/// m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
/// w <- w - learning_rate (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
/// One pass over the four arrays.
struct AdamW {
  float* weights = nullptr;          ///< [count]
  const float* gradients = nullptr;  ///< [count]
  float* mean = nullptr;             ///< m [count], zero before the first step
  float* square_mean = nullptr;      ///< v [count], zero before the first step
  int64_t count = 0;
  int64_t decayed_count = 0;  ///< 0 ... count
  int64_t step = 1;           ///< counts from 1
  double learning_rate = 0;
  double beta1 = 0, beta2 = 0;
  double epsilon = 0;
  double weight_decay = 0;
};
SOTALIGN_DECLARE_OPERATION(adamw, AdamW)

}  // namespace sotalign::kernels
