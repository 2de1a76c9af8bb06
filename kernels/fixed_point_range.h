// How both backends turn the ends of a row into its fixed-point range, and an entry into a number of it.
#pragma once

#include <cstdint>

#include "kernels/fixed_point.h"

namespace sotalign::kernels {

struct FixedPointRange {
  float centre, step;
  float steps_per_unit;  ///< 0 where the step is
};

/// Halves are added, so that the ends may be as far apart as floats are. A row that spans next to nothing has
/// equal entries: the inverse of its step would be infinite.
constexpr FixedPointRange fixed_point_range(float lowest, float highest) {
  const float half = highest / 2 - lowest / 2, centre = lowest / 2 + highest / 2;
  if (!(half > 1e-30f)) return {centre, 0.0f, 0.0f};
  return {centre, half / kFixedPointLimit, kFixedPointLimit / half};
}

/// To nearest. What rounding the centre has taken beyond the range is put on its ends.
constexpr int16_t to_fixed_point(float x, const FixedPointRange& range) {
  float y = (x - range.centre) * range.steps_per_unit;
  y = y < kFixedPointLimit ? y : kFixedPointLimit;
  y = y > -kFixedPointLimit ? y : -kFixedPointLimit;
  return static_cast<int16_t>(static_cast<int32_t>(y + (y < 0 ? -0.5f : 0.5f)));
}

}  // namespace sotalign::kernels
