// Transport on the circle against brute force and known cases; the sliced distance against closed forms and
// POT.
#include "sotalign/eval/sliced_wasserstein.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numbers>
#include <numeric>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/circular_transport.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_sliced_wasserstein_test {

using testing::message_of;
using testing::random_normal;
using Doubles = std::vector<double>;

// --- on the circle

double squared_distance(double a, double b) {
  const double d = std::abs(a - b) - std::floor(std::abs(a - b));
  return std::min(d, 1 - d) * std::min(d, 1 - d);
}

/// Repeats points until both sets have equal size, then takes the best cyclic shift of the sorted points.
double circular_oracle(const Doubles& x, const Doubles& y) {
  const auto copies = [](Doubles points, size_t count) {
    for (double& point : points) point -= std::floor(point);
    std::sort(points.begin(), points.end());
    Doubles result;
    for (const double point : points) result.insert(result.end(), count, point);
    return result;
  };
  const size_t size = std::lcm(x.size(), y.size());
  const Doubles a = copies(x, size / x.size()), b = copies(y, size / y.size());
  double best = 1;
  for (size_t shift = 0; shift < size; ++shift) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += squared_distance(a[i], b[(i + shift) % size]);
    best = std::min(best, sum / double(size));
  }
  return best;
}

Doubles random_angles(int64_t n, uint64_t seed, double spread) {
  const std::vector<float> normal = random_normal(n, seed, float(spread));
  return {normal.begin(), normal.end()};
}

TEST(CircularTransport, AgreesWithAllShifts) {
  uint64_t seed = 0;
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                     {1, 2},
                                                                     {2, 1},
                                                                     {2, 2},
                                                                     {2, 3},
                                                                     {3, 2},
                                                                     {4, 6},
                                                                     {5, 7},
                                                                     {31, 33},
                                                                     {32, 32},
                                                                     {33, 31},
                                                                     {127, 2},
                                                                     {2, 127},
                                                                     {64, 48}})
    for (const double spread : {0.01, 0.1, 0.3, 5.0})
      for (const double offset : {0.0, 0.37, -12.5}) {
        const Doubles x = random_angles(n, ++seed, spread);
        Doubles y = random_angles(m, ++seed, 0.2);
        for (double& point : y) point += offset;
        const double expected = circular_oracle(x, y);
        EXPECT_WITHIN(std::abs(squared_circular_wasserstein(x, y) - expected), 1e-13 + 1e-12 * expected)
            << n << ' ' << m << ' ' << spread << ' ' << offset;
        EXPECT_WITHIN(std::abs(squared_circular_wasserstein(y, x) - expected), 1e-13 + 1e-12 * expected);
      }
}

/// The optimality of cyclic shifts is a theorem; with few points all assignments can be tried.
TEST(CircularTransport, AgreesWithAllAssignments) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Doubles x = random_angles(5, 2 * seed, 0.4), y = random_angles(5, 2 * seed + 1, 0.4);
    std::vector<size_t> order = {0, 1, 2, 3, 4};
    double best = 1;
    do {
      double sum = 0;
      for (size_t i = 0; i < 5; ++i) sum += squared_distance(x[i], y[order[i]]) / 5;
      best = std::min(best, sum);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_NEAR(squared_circular_wasserstein(x, y), best, 1e-13);
  }
}

TEST(CircularTransport, KnownCases) {
  for (const double turn : {0.0, 0.125, 0.25, 0.5, 0.625, 0.875})
    for (const size_t n : {1, 2, 31}) {  // point masses, one of them rotated
      const Doubles x(n, 0.25), y(3, 0.25 + turn);
      EXPECT_NEAR(squared_circular_wasserstein(x, y), squared_distance(0, turn), 1e-15);
    }
  // A regular polygon against itself rotated by half a step, and by whole steps, which changes nothing.
  for (const int64_t n : {1, 2, 8, 64}) {
    Doubles x, y, same;
    for (int64_t i = 0; i < n; ++i) {
      x.push_back(double(i) / double(n));
      y.push_back((double(i) + 0.5) / double(n));
      same.push_back(double(i + 3) / double(n) - 5);
    }
    EXPECT_NEAR(squared_circular_wasserstein(x, y), 0.25 / double(n * n), 1e-15);
    EXPECT_EQ(squared_circular_wasserstein(x, same), 0.0);
  }
  // Half of the mass stays, half moves to the opposite side.
  EXPECT_NEAR(squared_circular_wasserstein({0.1}, {0.1, 0.6}), 0.125, 1e-15);
  EXPECT_EQ(squared_circular_wasserstein({-1e-30}, {0}), 0.0);
}

TEST(CircularTransport, EqualSetsGiveExactlyZero) {
  for (const int64_t n : {1, 2, 33, 1000})
    for (const double spread : {1e-9, 0.1, 10.0}) {
      Doubles x = random_angles(n, uint64_t(n), spread), y = x;
      std::reverse(y.begin(), y.end());
      EXPECT_EQ(squared_circular_wasserstein(x, y), 0.0);
      const Doubles once = x;
      x.insert(x.end(), once.begin(), once.end());  // each point twice: the same distribution
      EXPECT_EQ(squared_circular_wasserstein(x, y), 0.0);
    }
}

TEST(CircularTransport, Errors) {
  EXPECT_EQ(message_of<InvalidArgument>([] { squared_circular_wasserstein({0.5}, {}); }),
            "circular transport: y, expected 1 to 2^31 - 1 points, found 0");
  EXPECT_EQ(message_of<InvalidArgument>([] {
              squared_circular_wasserstein({0.5, NAN}, {1});
            }),
            "circular transport: x, expected finite coordinates, found nan");
}

// --- on the sphere

/// The set of golden/sliced_wasserstein.py, which computed POT's values.
std::vector<float> golden_set(int64_t rows, int64_t cols, double shift) {
  std::vector<float> x;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j)
      x.push_back(float(std::sin(1.0 + 12.9898 * double(i) + 78.233 * double(j) + 3.7 * double(i * j)) +
                        (j == 0 ? shift : 0)));
  return x;
}

class SlicedWassersteinTest : public testing::DeviceTest {
 protected:
  SlicedWasserstein distance(const std::vector<float>& x, const std::vector<float>& y, int64_t d,
                             const SlicedWassersteinOptions& options = {}) {
    return distance(context, x, y, d, options);
  }
  static SlicedWasserstein distance(Context& context, const std::vector<float>& x,
                                    const std::vector<float>& y, int64_t d,
                                    const SlicedWassersteinOptions& options = {}) {
    return spherical_sliced_wasserstein(context, Matrix<float>(context, x.data(), int64_t(x.size()) / d, d),
                                        Matrix<float>(context, y.data(), int64_t(y.size()) / d, d), options);
  }
};
SOTALIGN_ON_EVERY_DEVICE(SlicedWassersteinTest);

TEST_P(SlicedWassersteinTest, AgreesWithPot) {
  struct Golden {
    int64_t n, m, d;
    double value, error;
  };
  for (const Golden& golden : {Golden{20, 20, 5, 0.15178527051195362, 0.00011162920907616462},
                               Golden{20, 13, 5, 0.14149503607882238, 0.00010038867810336228},
                               Golden{7, 31, 16, 0.11546498933694001, 0.00010239696348832732}}) {
    const SlicedWasserstein found =
        distance(golden_set(golden.n, golden.d, 0), golden_set(golden.m, golden.d, 1.5), golden.d,
                 {.projections = 3000, .seed = 1});
    EXPECT_WITHIN(std::abs(found.distance - golden.value),
                  4 * std::hypot(found.standard_error, golden.error));
    EXPECT_WITHIN(found.standard_error, 0.02 * golden.value);  // otherwise the test would be weak
    EXPECT_EQ(found.projections, 3000);
  }
}

TEST_P(SlicedWassersteinTest, InThePlaneItIsTransportOnTheCircle) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{1, 1}, {2, 3}, {33, 31}, {127, 2}}) {
    std::vector<float> x = random_normal(2 * n, 1), y = random_normal(2 * m, 2);
    for (size_t i = 0; i < y.size(); i += 2) y[i] += 1;
    const auto angles = [](const std::vector<float>& rows) {
      Doubles result;
      for (size_t i = 0; i < rows.size(); i += 2)
        result.push_back(std::atan2(double(rows[i + 1]), double(rows[i])) / (2 * std::numbers::pi));
      return result;
    };
    const SlicedWasserstein found = distance(x, y, 2, {.projections = 70});
    EXPECT_NEAR(found.distance, std::sqrt(circular_oracle(angles(x), angles(y))), 1e-6);
    EXPECT_WITHIN(found.standard_error, 1e-7);
  }
}

TEST_P(SlicedWassersteinTest, KnownCases) {
  for (const int64_t d : {2, 3, 31, 33, 127}) {
    const std::vector<float> x = random_normal(9 * d, uint64_t(d));
    EXPECT_EQ(distance(x, x, d, {.projections = 40}).distance, 0.0);
    EXPECT_EQ(distance(x, x, d, {.projections = 40}).standard_error, 0.0);
    // Lengths, order and duplicating all rows do not matter.
    std::vector<float> same;
    for (int64_t i = 17; i >= 0; --i)
      for (int64_t j = 0; j < d; ++j) same.push_back(x[size_t(i % 9 * d + j)] * float(i + 1));
    EXPECT_WITHIN(distance(x, same, d, {.projections = 40}).distance, 1e-5);
    // A point and its antipode are half a turn apart in every plane.
    const std::vector<float> point(x.begin(), x.begin() + d);
    std::vector<float> opposite;
    for (const float entry : point) opposite.push_back(-3 * entry);
    EXPECT_NEAR(distance(point, opposite, d, {.projections = 40}).distance, 0.5, 1e-6);
  }
  // Orthogonal points. In the plane of u and v they lie at (u_1, v_1) and (u_2, v_2). For large d their
  // directions are independent, so their distance is uniform in [0, 1/2]: mean square 1/12.
  std::vector<float> first(300), second(300);
  first[0] = second[1] = 1;
  const SlicedWasserstein found = distance(first, second, 300, {.projections = 4000});
  EXPECT_NEAR(found.distance, std::sqrt(1.0 / 12), 5 * found.standard_error);
}

TEST_P(SlicedWassersteinTest, StandardErrorIsTheSpreadOverSeeds) {
  const std::vector<float> x = golden_set(15, 4, 0), y = golden_set(11, 4, 1);
  const int64_t seeds = 60;
  double mean = 0, square = 0, claimed = 0;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    const SlicedWasserstein found = distance(x, y, 4, {.projections = 50, .seed = uint64_t(seed)});
    mean += found.distance / double(seeds);
    square += found.distance * found.distance / double(seeds);
    claimed += found.standard_error / double(seeds);
  }
  const double spread = std::sqrt(square - mean * mean);
  EXPECT_WITHIN(std::abs(std::log(spread / claimed)), 0.35);
}

TEST_P(SlicedWassersteinTest, SameSeedSameBitsWhateverTheThreads) {
  const int64_t d = 65;
  const std::vector<float> x = random_normal(1201 * d, 1), y = random_normal(37 * d, 2);
  const SlicedWassersteinOptions options{.projections = 37, .seed = 5};
  const SlicedWasserstein one = distance(x, y, d, options);
  for (const int threads : {1, 2, 3}) {
    Context other(GetParam(), threads);
    const SlicedWasserstein found = distance(other, x, y, d, options);
    EXPECT_EQ(found.distance, one.distance) << threads;
    EXPECT_EQ(found.standard_error, one.standard_error);
  }
  EXPECT_NE(distance(x, y, d, {.projections = 37, .seed = 6}).distance, one.distance);
}

TEST_P(SlicedWassersteinTest, Errors) {
  const auto message = [&](const std::vector<float>& x, const std::vector<float>& y, int64_t d,
                           const SlicedWassersteinOptions& options = {}) {
    return message_of<InvalidArgument>([&] { distance(x, y, d, options); });
  };
  EXPECT_EQ(message({1, 2}, {1, 2}, 1),
            "spherical_sliced_wasserstein: expected rows of at least 2 columns, found [2, 1] and [2, 1]");
  EXPECT_EQ(message({}, {1, 2}, 2),
            "spherical_sliced_wasserstein: expected rows of at least 2 columns, found [0, 2] and [1, 2]");
  EXPECT_EQ(message({1, 2}, {1, 2, 0, 0}, 2),
            "spherical_sliced_wasserstein: y 1, expected a row with a direction, found one of length 0");
  EXPECT_EQ(message({1, NAN}, {1, 2}, 2).rfind("spherical_sliced_wasserstein: x 0, ", 0), 0u);
  EXPECT_EQ(message({1, 2}, {1, 2}, 2, {.projections = 1}),
            "spherical_sliced_wasserstein: projections, expected at least 2, found 1");
  EXPECT_EQ(message_of<InvalidArgument>([&] {
              spherical_sliced_wasserstein(context, Matrix<float>(context, 2, 3),
                                           Matrix<float>(context, 2, 4));
            }),
            "spherical_sliced_wasserstein: x and y need equally many columns, found 3 and 4");
}

}  // namespace lib_sliced_wasserstein_test
}  // namespace sotalign
