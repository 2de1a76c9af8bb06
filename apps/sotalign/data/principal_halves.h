// Splits rows into two halves along their first principal direction: a synthetic distribution shift.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign::app {

/// Halves of equal size, each in the order given; with an odd number of rows, the middle one is in neither.
struct PrincipalHalves {
  std::vector<int64_t> upper, lower;
};

/// Splits the `rows` of `x` at the median of their projections on their first principal direction. The sign
/// of the direction makes its component of largest magnitude positive. Uses power iteration in double; the
/// same rows in the same order give the same halves.
PrincipalHalves principal_halves(const HostMatrix& x, const std::vector<int64_t>& rows);

}  // namespace sotalign::app
