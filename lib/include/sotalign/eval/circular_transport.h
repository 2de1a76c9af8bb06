// Optimal transport on a circle of circumference 1 (Delon, Salomon and Sobolevski, "Fast transport
// optimization for Monge costs on the circle", SIAM Journal on Applied Mathematics 2010).
#pragma once

#include <vector>

namespace sotalign {

/// W_2^2, the least mean squared distance along the circle, between uniform weights on x and on y; at most
/// 1/4. Exact for any numbers of points, up to the rounding of float64 sums: equal sets give 0. Coordinates
/// are in turns; those outside of [0, 1) are taken modulo 1.
/// O(n log n + (n + m) log(n m)) for n = x.size(), m = y.size().
/// Throws InvalidArgument if a set is empty, has 2^31 points or more, or a coordinate is not finite.
double squared_circular_wasserstein(std::vector<double> x, std::vector<double> y);

}  // namespace sotalign
