#include "run/remaining.h"

#include <algorithm>

namespace sotalign::app {

std::optional<double> seconds_left(int64_t first, int64_t step, int64_t total, double elapsed,
                                   std::optional<double> after) {
  if (step <= first || !after) return std::nullopt;
  return elapsed * static_cast<double>(total - step) / static_cast<double>(step - first) + *after;
}

void RunTimes::add(const Kinds& kinds, double seconds) {
  for (const std::string& kind : kinds) {
    totals_[kind].seconds += seconds;
    totals_[kind].runs += 1;
  }
}

std::optional<double> RunTimes::estimate(const std::vector<Kinds>& runs) const {
  double sum = 0;
  for (const Kinds& kinds : runs) {
    const auto known = std::find_if(kinds.begin(), kinds.end(),
                                    [&](const std::string& kind) { return totals_.contains(kind); });
    if (known == kinds.end()) return std::nullopt;
    const Total& total = totals_.at(*known);
    sum += total.seconds / total.runs;
  }
  return sum;
}

}  // namespace sotalign::app
