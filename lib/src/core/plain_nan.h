// One spelling of NaN in messages.
#pragma once

#include <cmath>
#include <limits>

namespace sotalign {

/// Returns `value`, with every NaN replaced by the one that prints as "nan". The sign bit, which some
/// operations set, means nothing.
inline double plain_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace sotalign
