// Value and gradient of KLOT(K || K*) = sum_ij P*_ij (log P*_ij - log P_ij) from the potentials of both
// problems, in one pass over K and K*. Neither plan is stored. dKLOT/dK = (P - P*) / epsilon with the
// student's epsilon; exact once the student's solve has converged (envelope theorem).
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// Student and teacher are single problems (batch = 1) with the same shape, weights a and b, and strips.
struct KlotGradient {
  EntropicBatch student;
  const double* u_student = nullptr;  ///< [rows]
  const double* v_student = nullptr;  ///< [cols]
  EntropicBatch teacher;
  const double* u_teacher = nullptr;  ///< [rows]
  const double* v_teacher = nullptr;  ///< [cols]
  float* gradient = nullptr;          ///< [strip rows, cols] or null; may overwrite either affinity
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the value
  double* value = nullptr;      ///< [1], with 0 log 0 = 0
  void* scratch = nullptr;      ///< klot_gradient_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(klot_gradient, KlotGradient)

}  // namespace sotalign::kernels
