// Cross-entropy with given target distributions, against loops and finite differences.
#include <gtest/gtest.h>

#include <limits>

#include "sotalign/loss/pseudo_labels.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/error_message.h"
#include "support/strided.h"

namespace sotalign {
namespace lib_soft_cross_entropy_test {

using namespace testing;

const float kLogScale = std::log(20.0f);
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Expected {
  double value = 0, grad_log_scale = 0;
  std::vector<double> grad_k;
};

Expected oracle(const std::vector<double>& k, const std::vector<float>& targets, int64_t n, int64_t m,
                double log_scale) {
  const double t = std::exp(log_scale);
  std::vector<double> x = k;
  for (double& entry : x) entry *= t;
  x = log_softmax(x, n, m, m, 1);
  Expected expected{.grad_k = std::vector<double>(k.size())};
  for (size_t i = 0; i < k.size(); ++i) {
    const double mass = double(targets[i]);
    expected.value -= mass * x[i] / double(n);
    expected.grad_k[i] = t / double(n) * (std::exp(x[i]) - mass);
    expected.grad_log_scale += expected.grad_k[i] * k[i];
  }
  return expected;
}

/// Rows of mass 1 with some zero entries; every third row has a single nonzero entry.
std::vector<float> random_targets(int64_t n, int64_t m, uint64_t seed) {
  std::vector<float> targets = random_uniform(n * m, seed);
  for (int64_t i = 0; i < n; ++i) {
    float* row = &targets[i * m];
    for (int64_t j = 0; j < m; ++j)
      row[j] = i % 3 == 2 ? (j == i % m ? 1.0f : 0.0f) : std::max(row[j], 0.0f) + (j == 0 ? 1e-3f : 0.0f);
    double mass = 0;
    for (int64_t j = 0; j < m; ++j) mass += double(row[j]);
    for (int64_t j = 0; j < m; ++j) row[j] = float(double(row[j]) / mass);
  }
  return targets;
}

class SoftCrossEntropyTest : public DeviceTest {
 protected:
  struct Run {
    double value;
    float grad_log_scale;
    std::vector<float> grad_k;
    bool operator==(const Run&) const = default;
  };
  static Run run(Context& on, const std::vector<float>& k, const std::vector<float>& targets, int64_t n,
                 int64_t m, float log_scale, const SoftCrossEntropyOptions& options = {}, Layout layout = {},
                 float before = kNan) {
    const Strided<float> dk(on, k, n, m, layout), dt(on, targets, n, m, wider(layout));
    Strided<float> grad(on, n, m, wider(wider(layout)));
    const Buffer<float> parameter(on, std::vector<float>{log_scale});
    Buffer<float> grad_log_scale(on, std::vector<float>{before, -7});
    Buffer<double> value(on, std::vector<double>{-7, -7});
    soft_cross_entropy_of_cosines(on, {dk.data(), n, m, dk.stride()}, {dt.data(), n, m, dt.stride()},
                                  parameter.data(), options,
                                  {.grad_k = {grad.data(), n, m, grad.stride()},
                                   .value = value.data(),
                                   .grad_log_scale = grad_log_scale.data()});
    EXPECT_EQ(value.download()[1], -7);
    EXPECT_EQ(grad_log_scale.download()[1], -7);
    return {value.download()[0], grad_log_scale.download()[0], grad.download()};
  }
  static void expect_close(const Run& actual, const std::vector<float>& k, const std::vector<float>& targets,
                           int64_t n, int64_t m, float log_scale, double tolerance = 2e-6) {
    const Expected expected = oracle({k.begin(), k.end()}, targets, n, m, double(log_scale));
    EXPECT_WITHIN(std::abs(actual.value - expected.value), tolerance * std::max(expected.value, 0.01));
    // With one column the gradient is zero, up to the rounding of the row's mass.
    const double t = std::exp(double(log_scale));
    EXPECT_WITHIN(relative_l1(actual.grad_k, expected.grad_k, 0.1 * t), tolerance);
    double slopes = 0;  // terms may cancel, so the tolerance is relative to their magnitudes
    for (size_t i = 0; i < k.size(); ++i) slopes += std::abs(expected.grad_k[i] * double(k[i]));
    EXPECT_WITHIN(std::abs(double(actual.grad_log_scale) - expected.grad_log_scale),
                  tolerance * std::max(slopes, 0.1 * t));
  }
};
SOTALIGN_ON_EVERY_DEVICE(SoftCrossEntropyTest);

TEST_P(SoftCrossEntropyTest, AgreesWithLoops) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 2}, {2, 1}, {31, 33}, {33, 31}, {32, 32}, {9, 127}, {3, 1100}})
    for (const Layout layout : layouts(m)) {
      SCOPED_TRACE(::testing::Message() << n << " x " << m << ", offset " << layout.offset);
      const std::vector<float> k = random_uniform(n * m, uint64_t(n)),
                               targets = random_targets(n, m, uint64_t(m));
      for (const float log_scale : {kLogScale, -1.0f})
        expect_close(run(context, k, targets, n, m, log_scale, {}, layout), k, targets, n, m, log_scale);
    }
}

TEST_P(SoftCrossEntropyTest, ManyRows) {
  const int64_t n = 600, m = 3;
  const std::vector<float> k = random_uniform(n * m, 13), targets = random_targets(n, m, 14);
  expect_close(run(context, k, targets, n, m, kLogScale), k, targets, n, m, kLogScale);
}

TEST_P(SoftCrossEntropyTest, GradientsAgreeWithFiniteDifferences) {
  const int64_t n = 4, m = 6;
  const std::vector<float> k = random_uniform(n * m, 1), targets = random_targets(n, m, 2);
  const float log_scale = 1.5f;
  const Run actual = run(context, k, targets, n, m, log_scale);
  std::vector<double> x(k.begin(), k.end()), slopes;
  double parameter = double(log_scale);
  const auto slope = [&](double& variable) {
    const double kept = variable, h = 1e-5;
    variable = kept + h;
    const double above = oracle(x, targets, n, m, parameter).value;
    variable = kept - h;
    const double below = oracle(x, targets, n, m, parameter).value;
    variable = kept;
    return (above - below) / (2 * h);
  };
  for (double& entry : x) slopes.push_back(slope(entry));
  EXPECT_WITHIN(relative_l1(actual.grad_k, slopes), 5e-6);
  EXPECT_WITHIN(std::abs(double(actual.grad_log_scale) / slope(parameter) - 1), 5e-6);
}

TEST_P(SoftCrossEntropyTest, HostileDataAgreesWithLoops) {
  const int64_t n = 21, m = 41;
  const std::vector<float> noise = random_uniform(n * m, 5), targets = random_targets(n, m, 6);
  std::vector<float> outlier = noise, signs = noise, far = noise;
  outlier[77] = 1000.0f;
  for (float& x : signs) x = x < 0 ? -1.0f : 1.0f;
  for (float& x : far) x = 64.0f + x / 64;
  const std::vector<float> same(noise.size(), -0.25f);
  for (const auto& [name, k] : {std::pair{"outlier", outlier}, std::pair{"signs", signs},
                                std::pair{"constant", same}, std::pair{"far", far}})
    for (const float log_scale : {std::log(1e4f), kLogScale, -20.0f}) {
      SCOPED_TRACE(::testing::Message() << name << ", " << log_scale);
      expect_close(run(context, k, targets, n, m, log_scale), k, targets, n, m, log_scale, 5e-6);
    }
}

TEST_P(SoftCrossEntropyTest, NanShowsInTheValue) {
  const int64_t n = 5, m = 261;
  const std::vector<float> k = random_uniform(n * m, 7), targets = random_targets(n, m, 8);
  for (const size_t place : {size_t{0}, size_t{2 * m + 255}, size_t{n * m - 1}}) {
    std::vector<float> broken = k, broken_targets = targets;
    broken[place] = broken_targets[place] = kNan;
    EXPECT_TRUE(std::isnan(run(context, broken, targets, n, m, kLogScale).value)) << place;
    EXPECT_TRUE(std::isnan(run(context, k, broken_targets, n, m, kLogScale).value)) << place;
  }
  EXPECT_TRUE(std::isnan(run(context, k, targets, n, m, kNan).value));
}

TEST_P(SoftCrossEntropyTest, WeightAndTheSharedGradient) {
  const int64_t n = 7, m = 19;
  const std::vector<float> k = random_uniform(n * m, 9), targets = random_targets(n, m, 10);
  const Run one = run(context, k, targets, n, m, kLogScale),
            quarter = run(context, k, targets, n, m, kLogScale, {.weight = 0.25f});
  EXPECT_EQ(one.value, quarter.value);
  EXPECT_EQ(one.grad_log_scale, 4 * quarter.grad_log_scale);
  for (size_t i = 0; i < k.size(); ++i) EXPECT_EQ(one.grad_k[i], 4 * quarter.grad_k[i]);
  const Run added =
      run(context, k, targets, n, m, kLogScale, {.weight = 0.25f, .add_grad_log_scale = true}, {}, 3.0f);
  EXPECT_EQ(added.grad_k, quarter.grad_k);
  EXPECT_WITHIN(std::abs(added.grad_log_scale - (3.0f + quarter.grad_log_scale)), 1e-6f);
  EXPECT_NE(quarter.grad_log_scale, 0.0f);
}

TEST_P(SoftCrossEntropyTest, BitwiseTheSameForEveryRunThreadCountAndPlaceOfTheGradient) {
  const int64_t n = 37, m = 301;
  const std::vector<float> k = random_uniform(n * m, 11), targets = random_targets(n, m, 12);
  const Run expected = run(context, k, targets, n, m, kLogScale);
  for (const int threads : {1, 3}) {
    Context other(GetParam(), threads);
    EXPECT_EQ(run(other, k, targets, n, m, kLogScale), expected);
  }
  const Buffer<float> parameter(context, std::vector<float>{kLogScale});
  Buffer<float> grad_log_scale(context, 1);
  Buffer<double> value(context, 1);
  for (const bool over_targets : {false, true}) {
    Matrix<float> dk(context, k.data(), n, m), dt(context, targets.data(), n, m);
    Matrix<float>& grad = over_targets ? dt : dk;
    const auto queue = [&] {
      soft_cross_entropy_of_cosines(
          context, dk, dt, parameter.data(), {},
          {.grad_k = grad, .value = value.data(), .grad_log_scale = grad_log_scale.data()});
    };
    queue();
    EXPECT_EQ(grad.download(), expected.grad_k);
    EXPECT_EQ((over_targets ? dk : dt).download(), over_targets ? k : targets);
    EXPECT_EQ(value.download()[0], expected.value);
    EXPECT_EQ(grad_log_scale.download()[0], expected.grad_log_scale);
    const int64_t allocations = context.allocations(), copies = context.host_copies(),
                  waits = context.synchronizations();
    queue();
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.host_copies(), copies);
    EXPECT_EQ(context.synchronizations(), waits);
  }
}

TEST_P(SoftCrossEntropyTest, ErrorsNameArgumentAndValues) {
  const Matrix<float> k(context, 3, 4), targets(context, 3, 4), wrong(context, 4, 4);
  Matrix<float> grad(context, 3, 4);
  const auto message = [&](ConstMatrixF cosines, ConstMatrixF masses, MatrixF gradient, float weight = 1) {
    return error_message([&] {
      soft_cross_entropy_of_cosines(context, cosines, masses, nullptr, {.weight = weight},
                                    {.grad_k = gradient});
    });
  };
  EXPECT_EQ(message(ConstMatrixF(k.data(), 0, 4), targets, grad),
            "soft_cross_entropy: K: expected at least one row and column, found [0, 4]");
  EXPECT_EQ(message(k, wrong, grad), "soft_cross_entropy: targets: expected [3, 4], found [4, 4]");
  EXPECT_EQ(message(k, targets, grad.view().row_range(0, 2)),
            "soft_cross_entropy: grad_k: expected [3, 4], found [2, 4]");
  EXPECT_EQ(message(k, targets, grad, kNan),
            "soft_cross_entropy: weight: expected a finite number, found nan");
}

}  // namespace lib_soft_cross_entropy_test
}  // namespace sotalign
