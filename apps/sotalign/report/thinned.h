// Long curves with fewer points, for plots.
#pragma once

#include <cstddef>

#include "run/metrics_table.h"

namespace sotalign::app {

/// The lowest and the highest point of each of `pieces` stretches of a curve that has more than twice as many
/// points, so that no spike is lost; the first and the last point stay.
MetricsTable::Curve thinned(const MetricsTable::Curve& curve, size_t pieces = 200);

}  // namespace sotalign::app
