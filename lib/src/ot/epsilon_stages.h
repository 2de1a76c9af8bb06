// The stages of epsilon scaling: each uses about half the epsilon of the stage before.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "sotalign/ot/solve_options.h"

namespace sotalign {

inline constexpr int64_t kStageIterations = 5;

inline int64_t stage_count(const SolveOptions& o) {
  if (!(o.epsilon_scaling > 1)) return 0;
  return std::max<int64_t>(static_cast<int64_t>(std::round(std::log2(o.epsilon_scaling))), 1);
}

/// Iterations of all stages together.
inline int64_t descent(const SolveOptions& o) { return stage_count(o) * kStageIterations; }

}  // namespace sotalign
