// The learning rate as a function of the step.
#pragma once

#include <cstdint>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The shape of the learning rate's curve.
enum class ScheduleKind { kConstant, kCosine };

/// The settings of a schedule.
struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  /// The highest learning rate; kConstant keeps it.
  double peak = 1e-4;
  /// During the first warmup_steps steps, the rate rises linearly: peak (step + 1) / warmup_steps.
  int64_t warmup_steps = 0;
  /// kCosine: the rate at total_steps, as a fraction of the peak.
  double final_fraction = 0.0;
};

/// The learning rate of step `step`, counted from 0. `step` may equal total_steps, the end of the curve.
/// After the warm-up, with s = (step - warmup_steps) / (total_steps - warmup_steps), kCosine gives
///   peak (final_fraction + (1 - final_fraction) (1 + cos(pi s)) / 2).
/// Throws InvalidArgument for options out of range, for a step outside [0, total_steps] and for a warm-up
/// that is longer than the training.
double learning_rate(const ScheduleOptions& options, int64_t step, int64_t total_steps);

}  // namespace sotalign
