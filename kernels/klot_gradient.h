// Value and gradient of KLOT(K || K*) = sum_ij P*_ij (log P*_ij - log P_ij) from the potentials of both
// problems, in one pass over K and K*. Neither plan is stored. dKLOT/dK = (P - P*) / epsilon, epsilon the
// student's; exact at convergence of the student's solve (envelope theorem).
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// Student and teacher are single problems (batch = 1) of one shape with the same weights a and b, and in the
/// same strips.
struct KlotGradient {
  EntropicBatch student;
  const double* u_student = nullptr;  ///< [rows]
  const double* v_student = nullptr;  ///< [cols]
  EntropicBatch teacher;
  const double* u_teacher = nullptr;  ///< [rows]
  const double* v_teacher = nullptr;  ///< [cols]
  float* gradient =
      nullptr;  ///< of the strip, [rows, cols], or null; may be the student's or the teacher's affinity
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the value
  double* value = nullptr;      ///< [1]; 0 log 0 counts as 0
  void* scratch = nullptr;      ///< klot_gradient_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(klot_gradient, KlotGradient)

}  // namespace sotalign::kernels
