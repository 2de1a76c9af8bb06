// Let u and v be the quantile functions of the two sets, continued by u(q + 1) = u(q) + 1. The squared
// distance is the minimum over theta of C(theta) = integral over one period of (u(q) - v(q + theta))^2, a
// convex function. u and v are step functions with steps of width 1/n and 1/m, so C is linear between
// multiples of 1/L, L = lcm(n, m): the minimum is at an integer t = L theta, which bisection on the sign of
// the slope finds exactly. Quantiles are integers, in units of 1/L.
#include "eval/sorted_circular_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "sotalign/core/error.h"
#include "sotalign/eval/circular_transport.h"

namespace sotalign {

namespace {

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Iterates over the atoms of a set in the order of their quantiles, period after period.
class Atoms {
 public:
  Atoms(std::span<const double> sorted, int64_t index)
      : points_(sorted), size_(static_cast<int64_t>(sorted.size())) {
    turns_ = static_cast<double>(floor_divide(index, size_));
    place_ = index - floor_divide(index, size_) * size_;
  }
  double value() const { return points_[static_cast<size_t>(place_)] + turns_; }
  void advance() {
    if (++place_ == size_) place_ = 0, turns_ += 1;
  }

 private:
  std::span<const double> points_;
  int64_t size_, place_;
  double turns_;
};

class CircularProblem {
 public:
  /// `u` and `v` are sorted, in [0, 1).
  CircularProblem(std::span<const double> u, std::span<const double> v)
      : u_(u), v_(v), n_(static_cast<int64_t>(u.size())), m_(static_cast<int64_t>(v.size())) {
    const int64_t common = std::gcd(n_, m_);
    u_width_ = m_ / common;
    v_width_ = n_ / common;
    period_ = n_ * u_width_;
  }

  double minimum() const {
    // Shifts beyond a whole turn move all points in the same direction, and larger ones cost more.
    int64_t low = -period_, high = period_;
    while (low < high) {
      const int64_t middle = floor_divide(low + high, 2);
      if (slope(middle) >= 0)
        high = middle;
      else
        low = middle + 1;
    }
    return cost(low);
  }

 private:
  /// The slope of C between t and t + 1. The step of v to its atom j is where u(q) is constant, and moves to
  /// lower q as theta grows. This form of the sum gives exact signs where u = v: the minimum is then exactly
  /// 0.
  double slope(int64_t t) const {
    const int64_t first = v_width_ - t - 1;  // unit of q in which the step to atom 1 lies
    int64_t index = floor_divide(first, u_width_), rest = first - index * u_width_;
    Atoms u(u_, index), v(v_, 0);
    double sum = 0, before = v.value();
    for (int64_t j = 1; j <= m_; ++j) {
      v.advance();
      const double after = v.value(), at = u.value();
      sum += (after - before) * ((after - at) + (before - at));
      before = after;
      for (rest += v_width_; rest >= u_width_; rest -= u_width_) u.advance();
    }
    return sum;
  }

  /// C(t / L)
  double cost(int64_t t) const {
    const int64_t index = floor_divide(t, v_width_);
    Atoms u(u_, 0), v(v_, index);
    int64_t u_left = u_width_, v_left = (index + 1) * v_width_ - t;
    double sum = 0;
    for (int64_t q = 0; q < period_;) {
      const int64_t step = std::min({u_left, v_left, period_ - q});
      const double difference = u.value() - v.value();
      sum += static_cast<double>(step) * difference * difference;
      q += step;
      if ((u_left -= step) == 0) u.advance(), u_left = u_width_;
      if ((v_left -= step) == 0) v.advance(), v_left = v_width_;
    }
    return sum / static_cast<double>(period_);
  }

  std::span<const double> u_, v_;
  int64_t n_, m_;
  int64_t u_width_, v_width_, period_;  // of an atom of u, an atom of v, a turn; units 1/L
};

void prepare(std::vector<double>& points, const char* name) {
  if (points.empty() || points.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw InvalidArgument(
        fmt::format("circular transport: {}, expected 1 to 2^31 - 1 points, found {}", name, points.size()));
  for (double& point : points) {
    if (!std::isfinite(point))
      throw InvalidArgument(
          fmt::format("circular transport: {}, expected finite coordinates, found {}", name, point));
    point -= std::floor(point);
    if (point >= 1) point = 0;  // a tiny negative number rounds to a whole turn
  }
  std::sort(points.begin(), points.end());
}

}  // namespace

double detail::squared_circular_wasserstein_sorted(std::span<const double> u, std::span<const double> v) {
  return CircularProblem(u, v).minimum();
}

double squared_circular_wasserstein(std::vector<double> x, std::vector<double> y) {
  prepare(x, "x");
  prepare(y, "y");
  return CircularProblem(x, y).minimum();
}

}  // namespace sotalign
