// Directions of points in planes, sorted: what optimal transport on the circle starts from.
#pragma once

#include <numbers>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Row p of `turns` holds the angles of the points (points_2p,i, points_2p+1,i), i = 0 .. count - 1, in turns
/// in [0, 1), in ascending order. The points are finite and not (0, 0). Angles are computed in double.
struct SortAngles {
  const float* points = nullptr;  ///< [2 planes, count]
  int64_t points_stride = 0;
  int64_t planes = 0, count = 0;  ///< count < 2^31
  double* turns = nullptr;        ///< [planes, count]
  void* scratch = nullptr;        ///< sort_angles_scratch() bytes; null for none
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sort_angles, SortAngles)

/// @param angle in [-pi, pi], as atan2 gives it
constexpr double turn_of(double angle) {
  const double turn = angle / (2 * std::numbers::pi);
  const double positive = turn < 0 ? turn + 1 : turn + 0.0;  // -0 becomes 0
  return positive < 1 ? positive : 0;                        // a tiny negative number rounds to a whole turn
}

}  // namespace sotalign::kernels
