#include "run/spread.h"

#include <cmath>

namespace sotalign::app {

Spread spread(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  Spread result{.seeds = values.size()};
  for (const double value : values) result.mean += value / count;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (count - 1));
  result.error = result.deviation / std::sqrt(count);
  return result;
}

std::vector<double> differences(const std::vector<double>& values, const std::vector<double>& less) {
  std::vector<double> result;
  for (size_t i = 0; i < values.size(); ++i) result.push_back(values[i] - less.at(i));
  return result;
}

Decided decide(const Spread& difference) {
  if (difference.seeds < 2) return Decided::kUndecided;
  if (difference.mean > 2 * difference.error) return Decided::kAbove;
  return difference.mean < -2 * difference.error ? Decided::kBelow : Decided::kUndecided;
}

}  // namespace sotalign::app
