// Weights are checked where they enter and where they leave: a model that is not finite answers every query
// with NaN, and no command would fail.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

namespace sotalign::detail {

/// The index of the first NaN or infinity.
template <class T>
std::optional<int64_t> first_not_finite(const std::vector<T>& values) {
  const auto bad =
      std::find_if_not(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
  if (bad == values.end()) return std::nullopt;
  return bad - values.begin();
}

}  // namespace sotalign::detail
