#include "sotalign/optim/schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "sotalign/core/error.h"

namespace sotalign {

double learning_rate(const ScheduleOptions& options, int64_t step, int64_t total_steps) {
  const auto& [kind, peak, warmup_steps, final_fraction] = options;
  if (!(peak >= 0 && std::isfinite(peak)))
    throw InvalidArgument(fmt::format("schedule: peak, expected 0 or a positive number, found {}", peak));
  if (!(final_fraction >= 0 && final_fraction <= 1))
    throw InvalidArgument(fmt::format("schedule: final_fraction, expected 0 to 1, found {}", final_fraction));
  if (total_steps < 1)
    throw InvalidArgument(fmt::format("schedule: total_steps, expected at least 1, found {}", total_steps));
  if (warmup_steps < 0 || warmup_steps > total_steps)
    throw InvalidArgument(fmt::format("schedule: warmup_steps, expected 0 to {} (all steps), found {}",
                                      total_steps, warmup_steps));
  if (step < 0 || step > total_steps)
    throw InvalidArgument(fmt::format("schedule: step, expected 0 to {}, found {}", total_steps, step));

  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (kind == ScheduleKind::kConstant) return peak;
  // If the warm-up takes all steps, the progress below would be 0 / 0.
  if (step == total_steps) return peak * final_fraction;
  const double progress =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  return peak * (final_fraction + (1 - final_fraction) * 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace sotalign
