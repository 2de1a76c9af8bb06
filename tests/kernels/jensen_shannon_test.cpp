// The Jensen-Shannon kernel on matrices with gaps, against loops in double precision and finite differences.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/jensen_shannon.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_jensen_shannon_test {

using namespace testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class JensenShannonTest : public DeviceTest {
 protected:
  struct Run {
    double value;
    std::vector<float> gradient;
    bool operator==(const Run&) const = default;
  };
  // Provides exactly the scratch memory it asks for, filled with garbage, and checks that it writes no
  // further.
  static void queue(Context& on, kernels::JensenShannon args) {
    const size_t bytes = jensen_shannon_scratch(on.queue(), args);
    std::vector<unsigned char> garbage(bytes + 256, 0x42);
    Buffer<unsigned char> scratch(on, garbage);
    args.scratch = scratch.data();
    jensen_shannon(on.queue(), args);
    garbage = scratch.download();
    EXPECT_EQ(std::count(garbage.begin() + static_cast<int64_t>(bytes), garbage.end(), 0x42), 256);
  }
  static Run run(Context& on, const std::vector<float>& s, const std::vector<float>& s0, int64_t n, int64_t m,
                 float c, Layout layout = {}) {
    const Strided<float> ds(on, s, n, m, layout), ds0(on, s0, n, m, wider(layout));
    Strided<float> gradient(on, n, m, wider(wider(layout)));
    Buffer<double> value(on, std::vector<double>{kNan, -7});
    queue(on, {.s = ds.data(),
               .s_stride = ds.stride(),
               .s0 = ds0.data(),
               .s0_stride = ds0.stride(),
               .rows = n,
               .cols = m,
               .c = c,
               .weight = 1.0 / double(n),
               .gradient = gradient.data(),
               .gradient_stride = gradient.stride(),
               .value = value.data()});
    EXPECT_EQ(value.download()[1], -7);
    return {value.download()[0], gradient.download()};
  }
  static DivergenceOracle oracle(const std::vector<float>& s, const std::vector<float>& s0, int64_t n,
                                 int64_t m, double c) {
    return jensen_shannon_oracle({s.begin(), s.end()}, {s0.begin(), s0.end()}, n, m, c);
  }
};
SOTALIGN_ON_EVERY_DEVICE(JensenShannonTest);

TEST_P(JensenShannonTest, AgreesWithTheOracle) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1},   {1, 2},   {2, 1},    {31, 33},  {33, 31},
                                                           {32, 32}, {7, 127}, {20, 129}, {3, 1100}, {70, 5}};
  for (const auto& [n, m] : shapes)
    for (const Layout layout : layouts(m)) {
      SCOPED_TRACE(::testing::Message() << n << " x " << m << ", offset " << layout.offset);
      const std::vector<float> s = random_uniform(n * m, uint64_t(n)),
                               s0 = random_uniform(n * m, uint64_t(m));
      const Run actual = run(context, s, s0, n, m, 8.0f, layout);
      const DivergenceOracle expected = oracle(s, s0, n, m, 8.0);
      EXPECT_WITHIN(std::abs(actual.value - expected.value), 1e-6 * expected.value);
      EXPECT_WITHIN(relative_l1(actual.gradient, expected.gradient), 2e-6);
    }
}

TEST_P(JensenShannonTest, ManyRows) {
  const int64_t n = 530, m = 2;
  const std::vector<float> s = random_uniform(n * m, 12), s0 = random_uniform(n * m, 13);
  const Run actual = run(context, s, s0, n, m, 8.0f);
  const DivergenceOracle expected = oracle(s, s0, n, m, 8.0);
  EXPECT_WITHIN(std::abs(actual.value - expected.value), 1e-6 * expected.value);
  EXPECT_WITHIN(relative_l1(actual.gradient, expected.gradient), 2e-6);
}

TEST_P(JensenShannonTest, GradientAgreesWithFiniteDifferences) {
  const int64_t n = 4, m = 6;
  const std::vector<float> s = random_uniform(n * m, 1), s0 = random_uniform(n * m, 2);
  std::vector<double> x(s.begin(), s.end()), slopes;
  const std::vector<double> x0(s0.begin(), s0.end());
  for (double& entry : x) {
    const double kept = entry, h = 1e-5;
    entry = kept + h;
    const double above = jensen_shannon_oracle(x, x0, n, m, 4).value;
    entry = kept - h;
    slopes.push_back((above - jensen_shannon_oracle(x, x0, n, m, 4).value) / (2 * h));
    entry = kept;
  }
  EXPECT_WITHIN(relative_l1(run(context, s, s0, n, m, 4.0f).gradient, slopes), 2e-6);
}

// The value is quadratic in the difference, the gradient linear; neither may lose its digits.
TEST_P(JensenShannonTest, CloseRowsKeepTheirDigits) {
  const int64_t n = 9, m = 67;
  const std::vector<float> s0 = random_uniform(n * m, 3), noise = random_uniform(n * m, 4);
  for (const float size : {1e-1f, 2e-2f, 1e-3f, 1e-4f}) {
    SCOPED_TRACE(size);
    std::vector<float> s = s0;
    for (size_t i = 0; i < s.size(); ++i) s[i] += size * noise[i];
    const Run actual = run(context, s, s0, n, m, 8.0f);
    const DivergenceOracle expected = oracle(s, s0, n, m, 8.0);
    EXPECT_WITHIN(std::abs(actual.value / expected.value - 1), 1e-6);
    EXPECT_WITHIN(relative_l1(actual.gradient, expected.gradient), 1e-6);
  }
  const Run same = run(context, s0, s0, n, m, 8.0f);
  EXPECT_EQ(same.value, 0.0);
  for (const float g : same.gradient) EXPECT_EQ(g, 0.0f);
}

TEST_P(JensenShannonTest, HostileDataAgreesWithTheOracle) {
  const int64_t n = 21, m = 41;
  const std::vector<float> noise = random_uniform(n * m, 5), other = random_uniform(n * m, 6);
  std::vector<float> outlier = noise, signs = noise, far = noise, large = noise;
  const std::vector<float> same(noise.size(), 0.25f);
  outlier[77] = 1000.0f;
  for (float& x : signs) x = x < 0 ? -1.0f : 1.0f;
  for (float& x : far) x = 64.0f + x / 64;  // small variation on a large offset
  for (float& x : large) x *= 1e5f;
  for (const auto& [name, k] :
       {std::pair{"outlier", outlier}, std::pair{"signs", signs}, std::pair{"constant", same},
        std::pair{"far", far}, std::pair{"large", large}})
    for (const bool as_s : {true, false})
      for (const float c : {16.0f, 1024.0f}) {
        SCOPED_TRACE(::testing::Message() << name << ' ' << as_s << ' ' << c);
        const std::vector<float>&s = as_s ? k : other, &s0 = as_s ? other : k;
        const Run actual = run(context, s, s0, n, m, c);
        const DivergenceOracle expected = oracle(s, s0, n, m, c);
        EXPECT_WITHIN(std::abs(actual.value - expected.value), 2e-6 * expected.value);
        EXPECT_WITHIN(relative_l1(actual.gradient, expected.gradient, 1e-3 * c), 5e-6);
      }
}

// Softmaxes with disjoint supports, and entries that underflow in one softmax or both.
TEST_P(JensenShannonTest, NothingInCommonIsTheLogarithmOfTwo) {
  const int64_t n = 3, m = 37;
  std::vector<float> s(n * m, -1.0f), s0(n * m, -1.0f);
  for (int64_t i = 0; i < n; ++i) s[i * m] = 1.0f, s0[i * m + 1 + i] = 1.0f;
  for (const float c : {1e3f, 1e6f, 1e30f}) {
    const Run actual = run(context, s, s0, n, m, c);
    EXPECT_WITHIN(std::abs(actual.value - std::log(2.0)), 1e-7);
    for (const float g : actual.gradient) EXPECT_WITHIN(std::abs(g), 1e-6f * c);
  }
}

TEST_P(JensenShannonTest, WhatIsNotFiniteShowsInTheValue) {
  const int64_t n = 5, m = 261;
  const std::vector<float> k = random_uniform(n * m, 7);
  for (const float bad : {kNan, std::numeric_limits<float>::infinity()})
    for (const size_t place : {size_t{0}, size_t{2 * m + 255}, size_t{n * m - 1}}) {
      std::vector<float> broken = k;
      broken[place] = bad;
      EXPECT_TRUE(std::isnan(run(context, broken, k, n, m, 8.0f).value)) << bad << place;
      EXPECT_TRUE(std::isnan(run(context, k, broken, n, m, 8.0f).value)) << bad << place;
      EXPECT_TRUE(std::isnan(run(context, broken, k, n, m, 8.0f).gradient[place])) << bad << place;
    }
}

TEST_P(JensenShannonTest, BitwiseTheSameForEveryRunThreadCountAndPlaceOfTheGradient) {
  const int64_t n = 37, m = 301;
  const std::vector<float> s = random_uniform(n * m, 8), s0 = random_uniform(n * m, 9);
  const Run expected = run(context, s, s0, n, m, 8.0f);
  for (const int threads : {1, 3}) {
    Context other(GetParam(), threads);
    EXPECT_EQ(run(other, s, s0, n, m, 8.0f), expected);
  }
  for (const bool over_s0 : {false, true}) {
    Matrix<float> ds(context, s.data(), n, m), ds0(context, s0.data(), n, m);
    Buffer<double> value(context, 1);
    kernels::JensenShannon args{.s = ds.data(),
                                .s_stride = m,
                                .s0 = ds0.data(),
                                .s0_stride = m,
                                .rows = n,
                                .cols = m,
                                .c = 8.0f,
                                .weight = 1.0 / double(n),
                                .gradient_stride = m,
                                .value = value.data()};
    queue(context, args);  // value only
    EXPECT_EQ(value.download()[0], expected.value);
    EXPECT_EQ(ds.download(), s);
    args.gradient = over_s0 ? ds0.data() : ds.data();
    queue(context, args);
    EXPECT_EQ(value.download()[0], expected.value);
    EXPECT_EQ((over_s0 ? ds0 : ds).download(), expected.gradient);
    EXPECT_EQ((over_s0 ? ds : ds0).download(), over_s0 ? s : s0);
  }
}

TEST_P(JensenShannonTest, WeightScaleAndStrips) {
  const int64_t n = 8, m = 19;
  const std::vector<float> s = random_uniform(n * m, 10), s0 = random_uniform(n * m, 11);
  const Run expected = run(context, s, s0, n, m, 8.0f);
  const Matrix<float> ds(context, s.data(), n, m), ds0(context, s0.data(), n, m);
  Matrix<float> gradient(context, n, m);
  Buffer<double> value(context, std::vector<double>{kNan});
  for (const int64_t begin : {0, 3})
    queue(context, {.s = ds.view().row(begin),
                    .s_stride = m,
                    .s0 = ds0.view().row(begin),
                    .s0_stride = m,
                    .rows = begin == 0 ? 3 : n - 3,
                    .cols = m,
                    .c = 8.0f,
                    .weight = 2.0 / double(n),
                    .gradient = gradient.view().row(begin),
                    .gradient_stride = m,
                    .gradient_scale = 4.0f,
                    .value = value.data(),
                    .add_value = begin > 0});
  EXPECT_WITHIN(std::abs(value.download()[0] - 2 * expected.value), 1e-15);
  const std::vector<float> actual = gradient.download();
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_EQ(actual[i], 8 * expected.gradient[i]);
}

}  // namespace kernels_jensen_shannon_test
}  // namespace sotalign
