// Optimal transport on the circle for points that are sorted already (circular_transport.h).
#pragma once

#include <span>

namespace sotalign::detail {

/// @param u, v in turns in [0, 1), ascending, 1 to 2^31 - 1 each
double squared_circular_wasserstein_sorted(std::span<const double> u, std::span<const double> v);

}  // namespace sotalign::detail
