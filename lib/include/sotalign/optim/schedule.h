// The learning rate as a function of the step.
#pragma once

#include <cstdint>

namespace sotalign {

enum class ScheduleKind { kConstant, kCosine };

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  /// The highest learning rate, and the one of kConstant.
  double peak = 1e-4;
  /// The first steps, in which the rate rises linearly: peak (step + 1) / warmup_steps.
  int64_t warmup_steps = 0;
  /// kCosine: where the curve ends at total_steps, as a fraction of the peak.
  double final_fraction = 0.0;
};

/// The rate of step `step`, counted from 0; total_steps is accepted, too, and gives the end of the curve.
/// Behind the warm-up, with s = (step - warmup_steps) / (total_steps - warmup_steps), kCosine gives
///   peak (final_fraction + (1 - final_fraction) (1 + cos(pi s)) / 2).
/// Throws InvalidArgument for options out of range, a step outside [0, total_steps] and a warm-up longer than
/// the training.
double learning_rate(const ScheduleOptions& options, int64_t step, int64_t total_steps);

}  // namespace sotalign
