// NaN in messages.
#pragma once

#include <cmath>
#include <limits>

namespace sotalign {

/// `value`; of a NaN the one that prints as "nan": its sign bit, which some operations set, means nothing.
inline double plain_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace sotalign
