// Weights are checked on reading and on writing: with weights that are not finite, a model would answer every
// query with NaN, and no command would fail.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

namespace sotalign::detail {

/// The index of the first NaN or infinity, or std::nullopt.
template <class T>
std::optional<int64_t> first_not_finite(const std::vector<T>& values) {
  const auto bad =
      std::find_if_not(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
  if (bad == values.end()) return std::nullopt;
  return bad - values.begin();
}

}  // namespace sotalign::detail
