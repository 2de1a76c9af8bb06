#include "report/thinned.h"

#include <algorithm>
#include <vector>

namespace sotalign::app {

MetricsTable::Curve thinned(const MetricsTable::Curve& curve, size_t pieces) {
  const size_t points = curve.values.size();
  if (points <= 2 * pieces) return curve;
  MetricsTable::Curve kept;
  const auto keep = [&](size_t at) {
    kept.steps.push_back(curve.steps[at]);
    kept.values.push_back(curve.values[at]);
  };
  for (size_t piece = 0; piece < pieces; ++piece) {
    const auto begin = curve.values.begin();
    const size_t first = piece * points / pieces, last = (piece + 1) * points / pieces;
    const auto [least, most] =
        std::minmax_element(begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(last));
    std::vector<size_t> both = {static_cast<size_t>(least - begin), static_cast<size_t>(most - begin)};
    if (piece == 0) both.push_back(0);
    if (piece + 1 == pieces) both.push_back(points - 1);
    std::sort(both.begin(), both.end());
    both.erase(std::unique(both.begin(), both.end()), both.end());
    for (const size_t at : both) keep(at);
  }
  return kept;
}

}  // namespace sotalign::app
