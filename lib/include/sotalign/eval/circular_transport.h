// Optimal transport on a circle of circumference 1 (Delon, Salomon and Sobolevski, "Fast transport
// optimization for Monge costs on the circle", SIAM Journal on Applied Mathematics 2010).
#pragma once

#include <vector>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// W_2^2 between uniform weights on x and on y: the least mean squared distance along the circle, at most
/// 1/4. Exact for sets of any size, up to the rounding of float64 sums; equal sets give 0. Coordinates are in
/// turns, modulo 1. Takes O(n log n + (n + m) log(n m)) time for n = x.size() and m = y.size(). Throws
/// InvalidArgument if a set is empty or has 2^31 points or more, or if a coordinate is not finite.
double squared_circular_wasserstein(std::vector<double> x, std::vector<double> y);

}  // namespace sotalign
