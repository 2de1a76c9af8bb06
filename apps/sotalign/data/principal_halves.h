// Rows in two halves that differ as much as halves along one direction can: made-up distribution shift.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign::app {

/// Equally many rows, each half in the order in which they were given; the middle one of an odd number is in
/// neither.
struct PrincipalHalves {
  std::vector<int64_t> upper, lower;
};

/// Splits the `rows` of `x` at the median of their projections on their first principal direction, which
/// points to where its component of largest magnitude is positive. By power iteration in double; the same
/// rows in the same order give the same halves.
PrincipalHalves principal_halves(const HostMatrix& x, const std::vector<int64_t>& rows);

}  // namespace sotalign::app
