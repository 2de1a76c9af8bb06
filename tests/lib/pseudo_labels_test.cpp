// Pseudo-labels: the targets of every kind and their cross-entropy, against loops and finite differences.
#include "sotalign/loss/pseudo_labels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/one_hot_maximum.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/entropic_oracle.h"
#include "support/error_message.h"
#include "support/strided.h"

namespace sotalign {
namespace lib_pseudo_labels_test {

using namespace testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr PseudoLabels kAll[] = {PseudoLabels::kHard, PseudoLabels::kSoft, PseudoLabels::kOt};

class OneHotMaximumTest : public DeviceTest {
 protected:
  std::vector<float> run(const std::vector<float>& x, int64_t n, int64_t m, Layout layout = {}) {
    const Strided<float> dx(context, x, n, m, layout);
    Strided<float> y(context, n, m, wider(layout));
    const auto queue = [&](const float* from, int64_t stride, Strided<float>& to) {
      kernels::one_hot_maximum(
          context.queue(),
          {.x = from, .x_stride = stride, .y = to.data(), .y_stride = to.stride(), .rows = n, .cols = m});
      return to.download();
    };
    const std::vector<float> result = queue(dx.data(), dx.stride(), y);
    Strided<float> in_place(context, x, n, m, layout, -777.25f);
    const std::vector<float> again = queue(in_place.data(), in_place.stride(), in_place);
    EXPECT_EQ(std::memcmp(again.data(), result.data(), result.size() * sizeof(float)), 0);
    return result;
  }
};
SOTALIGN_ON_EVERY_DEVICE(OneHotMaximumTest);

TEST_P(OneHotMaximumTest, IsAtTheFirstMaximum) {
  for (const auto& [n, m] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 2}, {9, 33}, {5, 257}, {3, 2100}, {70, 5}})
    for (const Layout layout : layouts(m)) {
      SCOPED_TRACE(::testing::Message() << n << " x " << m << ", offset " << layout.offset);
      std::vector<float> x = random_uniform(n * m, uint64_t(m)), expected(x.size());
      for (float& entry : x) entry = std::round(entry * 8) / 8;  // ties
      for (int64_t i = 0; i < n; ++i) expected[std::max_element(&x[i * m], &x[i * m] + m) - x.data()] = 1;
      EXPECT_EQ(run(x, n, m, layout), expected);
    }
}

TEST_P(OneHotMaximumTest, HostileRows) {
  const int64_t m = 700;
  const auto one_at = [&](int64_t place) {
    std::vector<float> y(m);
    y[place] = 1;
    return y;
  };
  for (const float all : {0.0f, -1.0f, kInfinity, -kInfinity})
    EXPECT_EQ(run(std::vector<float>(m, all), 1, m), one_at(0));
  std::vector<float> x(m, -kInfinity);
  x[400] = -1e30f, x[650] = -1e30f;
  EXPECT_EQ(run(x, 1, m), one_at(400));
  x[699] = kInfinity;
  EXPECT_EQ(run(x, 1, m), one_at(699));
  for (const int64_t place : {0, 255, 256, 698}) {  // a NaN ranks above infinity and shows in the result
    x[place] = kNan;
    const std::vector<float> y = run(x, 1, m);
    for (int64_t j = 0; j < m; ++j) EXPECT_TRUE(j == place ? std::isnan(y[j]) : y[j] == 0) << j;
    x[place] = -kInfinity;
  }
}

// --- targets ---

class PseudoLabelTargetsTest : public DeviceTest {
 protected:
  std::vector<float> run(const PseudoLabelOptions& options, const std::vector<float>& unpaired,
                         const std::vector<float>& paired, int64_t d, Layout layout = {}) {
    const int64_t n = int64_t(unpaired.size()) / d, p = int64_t(paired.size()) / d;
    const Strided<float> u(context, unpaired, n, d, layout), v(context, paired, p, d, wider(layout));
    Strided<float> targets(context, n, p, layout);
    PseudoLabelTargets labels(context, n, p, options);
    labels.run({u.data(), n, d, u.stride()}, {v.data(), p, d, v.stride()},
               {targets.data(), n, p, targets.stride()});
    return targets.download();
  }
  static std::vector<float> cosines(const std::vector<float>& unpaired, const std::vector<float>& paired,
                                    int64_t d) {
    std::vector<float> k;
    for (auto u = unpaired.begin(); u != unpaired.end(); u += d)
      for (auto v = paired.begin(); v != paired.end(); v += d) {
        double sum = 0;
        for (int64_t j = 0; j < d; ++j) sum += double(u[j]) * double(v[j]);
        k.push_back(float(sum));
      }
    return k;
  }
};
SOTALIGN_ON_EVERY_DEVICE(PseudoLabelTargetsTest);

const std::vector<std::array<int64_t, 3>> kShapes = {
    {1, 1, 3}, {1, 9, 4}, {9, 1, 4}, {31, 33, 8}, {40, 17, 3}};

TEST_P(PseudoLabelTargetsTest, HardOnesAreAtTheNearestRow) {
  for (const auto& [n, p, d] : kShapes)
    for (const Layout layout : layouts(d)) {
      const std::vector<float> u = random_unit_rows(n, d, 1), v = random_unit_rows(p, d, 2),
                               k = cosines(u, v, d);
      std::vector<float> expected(k.size());
      for (int64_t i = 0; i < n; ++i) expected[std::max_element(&k[i * p], &k[i * p] + p) - k.data()] = 1;
      EXPECT_EQ(run({.kind = PseudoLabels::kHard}, u, v, d, layout), expected) << n << " x " << p;
    }
}

TEST_P(PseudoLabelTargetsTest, SoftOnesAreTheSoftmax) {
  for (const auto& [n, p, d] : kShapes)
    for (const double epsilon : {0.001, 0.01, 1.0})
      for (const Layout layout : layouts(d)) {
        SCOPED_TRACE(::testing::Message() << n << " x " << p << ", " << epsilon);
        const std::vector<float> u = random_unit_rows(n, d, 1), v = random_unit_rows(p, d, 2),
                                 k = cosines(u, v, d);
        std::vector<double> expected(k.begin(), k.end());
        for (double& x : expected) x /= epsilon;
        expected = log_softmax(expected, n, p, p, 1);
        for (double& x : expected) x = std::exp(x);
        // Cosines are correct to 1e-7.
        EXPECT_WITHIN(
            relative_l1(run({.kind = PseudoLabels::kSoft, .epsilon = epsilon}, u, v, d, layout), expected),
            1e-6 + 2e-7 / epsilon);
      }
}

TEST_P(PseudoLabelTargetsTest, TransportOnesAreRowsOfThePlan) {
  const auto check = [&](int64_t n, int64_t p, int64_t d, double epsilon, int64_t iterations, Layout layout) {
    SCOPED_TRACE(::testing::Message() << n << " x " << p << ", " << epsilon << ", " << iterations);
    const std::vector<float> u = random_unit_rows(n, d, 1), v = random_unit_rows(p, d, 2);
    std::vector<double> expected =
        EntropicOracle(cosines(u, v, d), n, p, epsilon).solve(iterations, false).plan();
    for (int64_t i = 0; i < n; ++i) {
      double mass = 0;
      for (int64_t j = 0; j < p; ++j) mass += expected[i * p + j];
      for (int64_t j = 0; j < p; ++j) expected[i * p + j] /= mass;
    }
    const PseudoLabelOptions options{.epsilon = epsilon, .iterations = iterations, .tolerance = 0};
    EXPECT_WITHIN(relative_l1(run(options, u, v, d, layout), expected), 1e-6 + 5e-7 / epsilon);
  };
  for (const auto& [n, p, d] : kShapes)
    for (const int64_t iterations : {1, 12}) check(n, p, d, 0.05, iterations, {});
  for (const Layout layout : layouts(3)) check(9, 17, 3, 0.5, 4, layout);
}

TEST_P(PseudoLabelTargetsTest, RowsHaveMassOne) {
  const int64_t n = 33, p = 40, d = 5;
  const std::vector<float> u = random_unit_rows(n, d, 3), v = random_unit_rows(p, d, 4);
  for (const PseudoLabels kind : kAll)
    for (const double epsilon : {1e-4, 1e3}) {
      const std::vector<float> targets = run({.kind = kind, .epsilon = epsilon}, u, v, d);
      for (int64_t i = 0; i < n; ++i) {
        double mass = 0;
        for (int64_t j = 0; j < p; ++j) mass += double(targets[i * p + j]);
        EXPECT_WITHIN(std::abs(mass - 1), 2e-6) << to_string(kind) << ", " << epsilon << ", row " << i;
      }
    }
}

TEST_P(PseudoLabelTargetsTest, ToleranceEndsTheSolveAndOthersHaveNone) {
  const int64_t n = 20, p = 30, d = 4;
  const std::vector<float> u = random_unit_rows(n, d, 5), v = random_unit_rows(p, d, 6);
  const Matrix<float> du(context, u.data(), n, d), dv(context, v.data(), p, d);
  Matrix<float> targets(context, n, p);
  const auto solve = [&](const PseudoLabelOptions& options) {
    PseudoLabelTargets labels(context, n, p, options);
    labels.run(du, dv, targets);
    return labels.transport();
  };
  const std::optional<SinkhornResult> loose = solve({.epsilon = 0.5, .tolerance = 1e-2}),
                                      strict = solve({.epsilon = 0.5});
  ASSERT_TRUE(loose && strict);
  EXPECT_EQ(loose->status, SinkhornStatus::kConverged);
  EXPECT_EQ(strict->status, SinkhornStatus::kConverged);
  EXPECT_LT(loose->iterations, strict->iterations);
  EXPECT_WITHIN(strict->row_error, 1e-6);
  EXPECT_EQ(solve({.iterations = 3})->iterations, 3);
  EXPECT_FALSE(solve({.kind = PseudoLabels::kSoft}).has_value());
  EXPECT_FALSE(solve({.kind = PseudoLabels::kHard}).has_value());
}

TEST_P(PseudoLabelTargetsTest, FurtherRunsAllocateNothingNeverWaitAndRepeat) {
  const int64_t n = 20, p = 30, d = 4;
  const std::vector<float> u = random_unit_rows(n, d, 7), v = random_unit_rows(p, d, 8);
  const Matrix<float> du(context, u.data(), n, d), dv(context, v.data(), p, d);
  Matrix<float> first(context, n, p), second(context, n, p);
  for (const PseudoLabels kind : kAll) {
    PseudoLabelTargets labels(context, n, p, {.kind = kind, .epsilon = 0.1});
    EXPECT_EQ(labels.kind(), kind);
    labels.run(du, dv, first);
    const int64_t allocations = context.allocations(), copies = context.host_copies(),
                  waits = context.synchronizations();
    labels.run(du, dv, second);
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.host_copies(), copies);
    EXPECT_EQ(context.synchronizations(), waits);
    EXPECT_EQ(first.download(), second.download());
  }
}

TEST_P(PseudoLabelTargetsTest, RejectsWhatDoesNotFit) {
  EXPECT_EQ(error_message([&] { PseudoLabelTargets(context, 0, 3); }),
            "pseudo_labels: expected at least one row and column, found [0, 3]");
  for (const PseudoLabels kind : {PseudoLabels::kSoft, PseudoLabels::kOt})
    for (const double epsilon : {0.0, -1.0, 1e-60, double(kNan)})
      EXPECT_THROW(PseudoLabelTargets(context, 3, 3, {.kind = kind, .epsilon = epsilon}), InvalidArgument);
  EXPECT_THROW(PseudoLabelTargets(context, 3, 3, {.iterations = 0}), InvalidArgument);
  EXPECT_THROW(PseudoLabelTargets(context, 3, 3, {.tolerance = -1}), InvalidArgument);
  EXPECT_THROW(PseudoLabelTargets(context, 3, 3, {.kind = static_cast<PseudoLabels>(7)}), InvalidArgument);
  PseudoLabelTargets labels(context, 3, 4);
  const Matrix<float> u(context, 3, 2), v(context, 4, 2), wide(context, 4, 3);
  Matrix<float> targets(context, 3, 4);
  const auto run = [&](ConstMatrixF unpaired, ConstMatrixF paired, MatrixF to) {
    return error_message([&] { labels.run(unpaired, paired, to); });
  };
  EXPECT_EQ(run(v, v, targets), "unpaired rows: expected [3, 2], found [4, 2]");
  EXPECT_EQ(run(u, wide, targets), "paired rows: expected [4, 2], found [4, 3]");
  EXPECT_EQ(run(u, v, targets.view().row_range(0, 2)), "targets: expected [3, 4], found [2, 4]");
}

TEST(PseudoLabelsNames, AreReadBack) {
  EXPECT_EQ(pseudo_label_names(), (std::vector<std::string>{"hard", "soft", "ot"}));
  for (const PseudoLabels kind : kAll) EXPECT_EQ(parse_pseudo_labels(to_string(kind)), kind);
  EXPECT_EQ(error_message([] { parse_pseudo_labels("OT"); }),
            "pseudo_labels: expected one of hard, soft, ot, found 'OT'");
  EXPECT_THROW(to_string(static_cast<PseudoLabels>(7)), InvalidArgument);
}

}  // namespace lib_pseudo_labels_test
}  // namespace sotalign
