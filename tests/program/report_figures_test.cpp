// What the pictures of a page compute, against double-precision loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/sotalign/report/principal_plane.h"
#include "apps/sotalign/report/similarities.h"
#include "apps/sotalign/report/thinned.h"
#include "apps/sotalign/run/phase_timer.h"
#include "sotalign/core/error.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign::app {
namespace program_report_figures_test {

using namespace sotalign::testing;

/// Leading eigenvalues of the covariance (times n - 1) of the rows, and the coordinates along its
/// eigenvectors, by power iteration with deflation.
struct Oracle {
  double total = 0;
  std::vector<double> values;
  std::vector<std::vector<double>> coordinates;
};
Oracle power_iteration(const std::vector<float>& rows, size_t n, size_t d) {
  std::vector<double> x(rows.begin(), rows.end());
  for (size_t j = 0; j < d; ++j) {
    double mean = 0;
    for (size_t i = 0; i < n; ++i) mean += x[i * d + j] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) x[i * d + j] -= mean;
  }
  Oracle oracle;
  for (const double value : x) oracle.total += value * value;
  std::vector<double> rest = x;
  for (int axis = 0; axis < 2; ++axis) {
    std::vector<double> v(d, 1.0), along(n);
    v[0] = 2;
    double length = 0;
    for (int round = 0; round < 3000; ++round) {
      std::fill(along.begin(), along.end(), 0.0);
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < d; ++j) along[i] += rest[i * d + j] * v[j];
      std::fill(v.begin(), v.end(), 0.0);
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < d; ++j) v[j] += along[i] * rest[i * d + j];
      length = 0;
      for (const double value : v) length += value * value;
      length = std::sqrt(length);
      if (length == 0) break;
      for (double& value : v) value /= length;
    }
    std::fill(along.begin(), along.end(), 0.0);
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < d; ++j) along[i] += rest[i * d + j] * v[j];
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < d; ++j) rest[i * d + j] -= along[i] * v[j];
    oracle.values.push_back(length);
    oracle.coordinates.push_back(along);
  }
  return oracle;
}

class PrincipalPlaneTest : public DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(PrincipalPlaneTest);

TEST_P(PrincipalPlaneTest, AgreesWithPowerIteration) {
  for (const auto& [n, d] : std::vector<std::pair<size_t, size_t>>{{31, 5}, {7, 33}, {127, 32}, {3, 2}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(d));
    std::vector<float> rows = random_normal(static_cast<int64_t>(n * d), 7 + n);
    // Two directions that stand out, and a mean that is not zero.
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < d; ++j) {
        float& value = rows[i * d + j];
        value = 0.3f * value + 5 + 4 * std::sin(static_cast<float>(i)) * (j % 2 == 0 ? 1.f : -1.f);
        if (j == 0) value += 3 * std::cos(2.5f * static_cast<float>(i));
      }
    const Oracle oracle = power_iteration(rows, n, d);
    const PrincipalPlane plane =
        principal_plane(context, ConstMatrixF(rows.data(), static_cast<int64_t>(n), static_cast<int64_t>(d)));
    for (int axis = 0; axis < 2; ++axis) {
      const std::vector<double>& found = axis == 0 ? plane.x : plane.y;
      const std::vector<double>& expected = oracle.coordinates[static_cast<size_t>(axis)];
      ASSERT_EQ(found.size(), n);
      double same = 0, other = 0;  // signs are arbitrary
      for (size_t i = 0; i < n; ++i) {
        same = std::max(same, std::abs(found[i] - expected[i]));
        other = std::max(other, std::abs(found[i] + expected[i]));
      }
      EXPECT_WITHIN(std::min(same, other), 1e-6 * std::sqrt(oracle.total));
    }
    EXPECT_WITHIN(std::abs(plane.share - (oracle.values[0] + oracle.values[1]) / oracle.total), 1e-9);
  }
}

TEST_P(PrincipalPlaneTest, FewAndEqualRows) {
  const std::vector<float> rows = {1, 2, 3, 1, 2, 3, 1, 2, 3};
  for (const int64_t n : {1, 2, 3}) {
    const PrincipalPlane plane = principal_plane(context, ConstMatrixF(rows.data(), n, 3));
    EXPECT_EQ(plane.x, std::vector<double>(static_cast<size_t>(n)));
    EXPECT_EQ(plane.y, std::vector<double>(static_cast<size_t>(n)));
    EXPECT_EQ(plane.share, 0);
  }
  const std::vector<float> two = {0, 0, 3, 4};
  const PrincipalPlane plane = principal_plane(context, ConstMatrixF(two.data(), 2, 2));
  EXPECT_WITHIN(std::abs(std::abs(plane.x[0]) - 2.5), 1e-12);
  EXPECT_WITHIN(std::abs(plane.x[0] + plane.x[1]), 1e-12);
  EXPECT_WITHIN(std::abs(plane.share - 1), 1e-12);
  const std::vector<float> bad = {0, std::numeric_limits<float>::quiet_NaN(), 3, 4};
  EXPECT_THROW(principal_plane(context, ConstMatrixF(bad.data(), 2, 2)), NumericalError);
  EXPECT_THROW(principal_plane(context, ConstMatrixF(bad.data(), 0, 2)), InvalidArgument);
}

TEST(SimilaritiesTest, AreTheCosinesOfTrueAndOtherPairs) {
  for (const int64_t n : {1, 2, 3, 8, 9, 10, 33}) {
    constexpr int64_t kDim = 5;
    const std::vector<float> x = random_normal(n * kDim, 1), y = random_normal(n * kDim, 2);
    const Similarities found = similarities(ConstMatrixF(x.data(), n, kDim), ConstMatrixF(y.data(), n, kDim));
    const auto product = [&](int64_t i, int64_t j) {
      double sum = 0;
      for (int64_t k = 0; k < kDim; ++k)
        sum += double{x[static_cast<size_t>(i * kDim + k)]} * y[static_cast<size_t>(j * kDim + k)];
      return sum;
    };
    const int64_t others = std::min<int64_t>(8, n - 1);
    ASSERT_EQ(found.true_pairs.size(), static_cast<size_t>(n));
    ASSERT_EQ(found.random_pairs.size(), static_cast<size_t>(n * others));
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_WITHIN(std::abs(found.true_pairs[static_cast<size_t>(i)] - product(i, i)), 1e-12);
      // Each partner is another row, and no partner comes twice.
      std::vector<int64_t> partners;
      for (int64_t k = 0; k < others; ++k)
        for (int64_t j = 0; j < n; ++j)
          if (j != i &&
              std::abs(found.random_pairs[static_cast<size_t>(i * others + k)] - product(i, j)) <= 1e-12)
            partners.push_back(j);
      std::sort(partners.begin(), partners.end());
      EXPECT_EQ(partners.size(), static_cast<size_t>(others));
      EXPECT_EQ(std::unique(partners.begin(), partners.end()), partners.end());
    }
  }
}

TEST(SimilaritiesTest, SeparationIsTheShareOfWonComparisons) {
  const Similarities cosines{.true_pairs = {0.5, 0.2, 0.9, 0.2}, .random_pairs = {0.2, 0.1, 0.5, 0.7, -1}};
  double won = 0;
  for (const double a : cosines.true_pairs)
    for (const double b : cosines.random_pairs) won += a > b ? 1 : a == b ? 0.5 : 0;
  EXPECT_WITHIN(std::abs(cosines.separation() - won / 20), 1e-15);
  EXPECT_TRUE(std::isnan(Similarities{.true_pairs = {1}, .random_pairs = {}}.separation()));
  EXPECT_EQ((Similarities{.true_pairs = {1, 2}, .random_pairs = {0, -1}}.separation()), 1);
}

TEST(Thinned, KeepsEndsAndExtremes) {
  MetricsTable::Curve curve;
  for (int i = 0; i < 10007; ++i) {
    curve.steps.push_back(i + 1);
    curve.values.push_back(std::sin(0.01 * i) + (i == 5003 ? 50 : i == 7001 ? -50 : 0));
  }
  const MetricsTable::Curve few = thinned(curve);
  EXPECT_LE(few.steps.size(), 402u);
  EXPECT_GE(few.steps.size(), 200u);
  EXPECT_EQ(few.steps.front(), 1);
  EXPECT_EQ(few.steps.back(), 10007);
  EXPECT_TRUE(std::is_sorted(few.steps.begin(), few.steps.end()));
  EXPECT_EQ(*std::max_element(few.values.begin(), few.values.end()), curve.values[5003]);
  EXPECT_EQ(*std::min_element(few.values.begin(), few.values.end()), curve.values[7001]);
  for (size_t i = 0; i < few.steps.size(); ++i)
    EXPECT_EQ(few.values[i], curve.values[static_cast<size_t>(few.steps[i]) - 1]);
  const MetricsTable::Curve three{.steps = {1, 2, 3}, .values = {3, 1, 2}};
  EXPECT_EQ(thinned(three).values, three.values);
  EXPECT_TRUE(thinned({}).steps.empty());
}

TEST(PhaseTimer, TimesAddUp) {
  double now = 10;
  PhaseTimer timer("reading", [&] { return now; });
  now = 12;
  timer.enter("steps");
  now = 15;
  {
    const auto visit = timer.visit("validation");
    now = 19;
    {
      const auto inner = timer.visit("saving");
      now = 20;
    }
    now = 21;
  }
  now = 26;
  timer.enter("reading");
  now = 27;
  const std::vector<std::pair<std::string, double>> expected = {
      {"reading", 3}, {"steps", 8}, {"validation", 5}, {"saving", 1}};
  EXPECT_EQ(timer.seconds(), expected);
  now = 30;
  EXPECT_EQ(timer.seconds()[0].second, 6);
}

}  // namespace program_report_figures_test
}  // namespace sotalign::app
