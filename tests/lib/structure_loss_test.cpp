// The STRUCTURE regularizer against loops and finite differences.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <numeric>

#include "sotalign/loss/structure.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/error_message.h"
#include "support/strided.h"

namespace sotalign {
namespace lib_structure_loss_test {

using namespace testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// X X' of the centred rows.
std::vector<double> similarities(std::vector<double> x, int64_t n, int64_t d) {
  for (int64_t j = 0; j < d; ++j) {
    double mean = 0;
    for (int64_t i = 0; i < n; ++i) mean += x[i * d + j] / double(n);
    for (int64_t i = 0; i < n; ++i) x[i * d + j] -= mean;
  }
  std::vector<double> s(n * n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      s[i * n + j] = std::inner_product(&x[i * d], &x[i * d] + d, &x[j * d], 0.0);
  return s;
}

class StructureLossTest : public DeviceTest {
 protected:
  struct Run {
    double value;
    std::vector<float> gradient;
  };
  Run run(const std::vector<float>& original, const std::vector<float>& aligned, int64_t n,
          const StructureOptions& options = {}, double scale = 1.0) {
    const int64_t d0 = int64_t(original.size()) / n, d = int64_t(aligned.size()) / n;
    const Matrix<float> r(context, original.data(), n, d0), a(context, aligned.data(), n, d);
    Matrix<float> gradient(context, n, d);
    StructureLoss loss(context, n, d0, d, options);
    loss.run(r, a, gradient, scale);
    return {loss.value(), gradient.download()};
  }
  static double oracle(const std::vector<double>& original, const std::vector<double>& aligned, int64_t n,
                       double temperature) {
    const int64_t d0 = int64_t(original.size()) / n, d = int64_t(aligned.size()) / n;
    return jensen_shannon_oracle(similarities(aligned, n, d), similarities(original, n, d0), n, n,
                                 1 / temperature)
        .value;
  }
  static std::vector<double> slopes(const std::vector<float>& original, const std::vector<float>& aligned,
                                    int64_t n, double temperature) {
    const std::vector<double> r(original.begin(), original.end());
    std::vector<double> a(aligned.begin(), aligned.end()), result;
    for (double& entry : a) {
      const double kept = entry, h = 1e-6;
      entry = kept + h;
      const double above = oracle(r, a, n, temperature);
      entry = kept - h;
      result.push_back((above - oracle(r, a, n, temperature)) / (2 * h));
      entry = kept;
    }
    return result;
  }
};
SOTALIGN_ON_EVERY_DEVICE(StructureLossTest);

TEST_P(StructureLossTest, ValueAndGradientAgreeWithTheOracle) {
  for (const auto& [n, d0, d] : std::vector<std::array<int64_t, 3>>{{2, 3, 2}, {13, 9, 5}, {17, 4, 11}}) {
    const std::vector<float> r = random_unit_rows(n, d0, 1), a = random_unit_rows(n, d, 2);
    for (const double temperature : {0.07, 0.5})
      for (const int64_t strip_rows : {0, 1, 5}) {
        SCOPED_TRACE(::testing::Message() << n << ", " << temperature << ", " << strip_rows);
        const Run actual = run(r, a, n, {.temperature = temperature, .strip_rows = strip_rows});
        const double expected = oracle({r.begin(), r.end()}, {a.begin(), a.end()}, n, temperature);
        EXPECT_WITHIN(std::abs(actual.value - expected), 2e-6 * expected);
        EXPECT_WITHIN(relative_l1(actual.gradient, slopes(r, a, n, temperature)), 2e-5);
      }
  }
}

TEST_P(StructureLossTest, OneRowHasNoStructure) {
  const Run actual = run(random_unit_rows(1, 5, 1), random_unit_rows(1, 3, 2), 1);
  EXPECT_EQ(actual.value, 0.0);
  for (const float g : actual.gradient) EXPECT_EQ(g, 0.0f);
}

// A rotation preserves neighbourhoods.
TEST_P(StructureLossTest, RotatedRowsLoseNothing) {
  const int64_t n = 40, d = 12;
  const std::vector<float> r = random_unit_rows(n, d, 3);
  std::vector<float> a(r.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < d; ++j) a[i * d + j] = (j % 3 == 0 ? -1.0f : 1.0f) * r[i * d + (j + 5) % d];
  const Run rotated = run(r, a, n), other = run(r, random_unit_rows(n, d, 4), n);
  EXPECT_WITHIN(rotated.value, 1e-11);
  EXPECT_GE(other.value, 0.005);
  EXPECT_WITHIN(relative_l1(rotated.gradient, std::vector<float>(a.size()), 1.0), 1e-4);
}

TEST_P(StructureLossTest, AddsToTheGradientOfFewerRowsThanTheMost) {
  const int64_t n = 11, d0 = 6, d = 7;
  const std::vector<float> r = random_unit_rows(n, d0, 5), a = random_unit_rows(n, d, 6),
                           before = random_normal(n * d, 7);
  const Run expected = run(r, a, n);
  StructureLoss loss(context, 30, d0, d, {.strip_rows = 4});
  for (const Layout layout : layouts(d)) {
    const Strided<float> dr(context, r, n, d0, layout), da(context, a, n, d, wider(layout));
    Strided<float> gradient(context, before, n, d, wider(wider(layout)), -777.25f);
    loss.run({dr.data(), n, d0, dr.stride()}, {da.data(), n, d, da.stride()},
             {gradient.data(), n, d, gradient.stride()}, -3.0);
    EXPECT_WITHIN(std::abs(loss.value() - expected.value), 1e-6 * expected.value);
    const std::vector<float> actual = gradient.download();
    std::vector<double> sum(before.begin(), before.end());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] -= 3 * double(expected.gradient[i]);
    EXPECT_WITHIN(relative_l1(actual, sum), 1e-6);
    loss.run({dr.data(), n, d0, dr.stride()}, {da.data(), n, d, da.stride()}, MatrixF());  // value only
    EXPECT_WITHIN(std::abs(loss.value() - expected.value), 1e-6 * expected.value);
    EXPECT_EQ(gradient.download(), actual);
  }
}

TEST_P(StructureLossTest, NanShowsInTheValue) {
  const int64_t n = 9, d = 4;
  const std::vector<float> x = random_unit_rows(n, d, 8);
  std::vector<float> broken = x;
  broken[13] = kNan;
  EXPECT_TRUE(std::isnan(run(x, broken, n).value));
  EXPECT_TRUE(std::isnan(run(broken, x, n).value));
}

TEST_P(StructureLossTest, FurtherRunsAllocateNothingNeverWaitAndRepeat) {
  const int64_t n = 50, d0 = 8, d = 6;
  const std::vector<float> x = random_unit_rows(n, d0, 9), y = random_unit_rows(n, d, 10);
  const Matrix<float> r(context, x.data(), n, d0), a(context, y.data(), n, d);
  Matrix<float> first(context, n, d), second(context, n, d);
  StructureLoss loss(context, n, d0, d, {.strip_rows = 20});
  loss.run(r, a, first);
  const double value = loss.value();
  const int64_t allocations = context.allocations(), copies = context.host_copies(),
                waits = context.synchronizations();
  loss.run(r, a, second);
  EXPECT_EQ(context.allocations(), allocations);
  EXPECT_EQ(context.host_copies(), copies);
  EXPECT_EQ(context.synchronizations(), waits);
  EXPECT_EQ(loss.value(), value);
  EXPECT_EQ(first.download(), second.download());
}

TEST_P(StructureLossTest, StripsTakeLessMemory) {
  const int64_t n = 400, d = 2;
  const std::vector<float> x = random_unit_rows(n, d, 11);
  const auto peak = [&](int64_t strip_rows) {
    Context own(GetParam());
    const Matrix<float> a(own, x.data(), n, d);
    StructureLoss loss(own, n, d, d, {.strip_rows = strip_rows});
    loss.run(a, a, MatrixF());
    return own.peak_bytes();
  };
  EXPECT_GE(peak(n), peak(20) + (1 << 20));
}

TEST_P(StructureLossTest, RejectsWhatDoesNotFit) {
  const auto create = [&](int64_t rows, int64_t d0, int64_t d, const StructureOptions& options) {
    return error_message([&] { StructureLoss(context, rows, d0, d, options); });
  };
  EXPECT_EQ(create(0, 3, 3, {}), "structure: original: expected at least one row and column, found [0, 3]");
  EXPECT_EQ(create(3, 3, 0, {}), "structure: aligned: expected at least one row and column, found [3, 0]");
  EXPECT_EQ(create(3, 3, 3, {.temperature = 0}), "temperature: expected a number > 0, found 0");
  EXPECT_EQ(create(3, 3, 3, {.temperature = double(kNan)}), "temperature: expected a number > 0, found nan");
  EXPECT_EQ(create(3, 3, 3, {.strip_rows = -1}), "strip_rows: expected >= 0, found -1");
  StructureLoss loss(context, 4, 3, 2);
  const Matrix<float> r(context, 4, 3), a(context, 4, 2), more(context, 5, 2), fewer(context, 3, 2);
  Matrix<float> g(context, 4, 2), wrong(context, 4, 3);
  const auto run = [&](ConstMatrixF original, ConstMatrixF aligned, MatrixF gradient) {
    return error_message([&] { loss.run(original, aligned, gradient); });
  };
  EXPECT_EQ(run(r, a, g), "no exception");
  EXPECT_EQ(run(r, more, g), "structure: aligned: expected [1 to 4, 2], found [5, 2]");
  EXPECT_EQ(run(r, r, g), "structure: aligned: expected [1 to 4, 2], found [4, 3]");
  EXPECT_EQ(run(r, fewer, g), "structure: original: expected [3, 3], found [4, 3]");
  EXPECT_EQ(run(a, a, g), "structure: original: expected [4, 3], found [4, 2]");
  EXPECT_EQ(run(r, a, wrong), "structure: d_aligned: expected [4, 2], found [4, 3]");
}

}  // namespace lib_structure_loss_test
}  // namespace sotalign
