// The stages of epsilon scaling: in each, epsilon is about half of what it was.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "sotalign/ot/sinkhorn.h"

namespace sotalign {

inline constexpr int64_t kStageIterations = 5;

inline int64_t stage_count(const SinkhornOptions& o) {
  if (!(o.epsilon_scaling > 1)) return 0;
  return std::max<int64_t>(static_cast<int64_t>(std::round(std::log2(o.epsilon_scaling))), 1);
}

}  // namespace sotalign
