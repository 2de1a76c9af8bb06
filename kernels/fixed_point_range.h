// Shared by both backends: the fixed-point range of a row, from its extremes, and the encoding of an entry.
#pragma once

#include <cstdint>

#include "kernels/fixed_point.h"

namespace sotalign::kernels {

struct FixedPointRange {
  float centre, step;
  float steps_per_unit;  ///< 0 if step is 0
};

/// Works with halves, since highest - lowest may overflow. A row with a half range of at most 1e-30 counts as
/// constant, since the inverse of its step could overflow.
constexpr FixedPointRange fixed_point_range(float lowest, float highest) {
  const float half = highest / 2 - lowest / 2, centre = lowest / 2 + highest / 2;
  if (!(half > 1e-30f)) return {centre, 0.0f, 0.0f};
  return {centre, half / kFixedPointLimit, kFixedPointLimit / half};
}

/// Rounds to nearest and clamps, since rounding the centre can push the extremes out of range.
constexpr int16_t to_fixed_point(float x, const FixedPointRange& range) {
  float y = (x - range.centre) * range.steps_per_unit;
  y = y < kFixedPointLimit ? y : kFixedPointLimit;
  y = y > -kFixedPointLimit ? y : -kFixedPointLimit;
  return static_cast<int16_t>(static_cast<int32_t>(y + (y < 0 ? -0.5f : 0.5f)));
}

}  // namespace sotalign::kernels
