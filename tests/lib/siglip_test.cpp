// SigLIP against loops, golden vectors and finite differences.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "sotalign/core/error.h"
#include "sotalign/loss/siglip.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/npy.h"
#include "support/strided.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_siglip_test {

using testing::max_difference;
using testing::random_normal;
using testing::random_uniform;
using testing::relative_l1;

const float kLogScale = std::log(20.0f);
const float kBias = -10.0f;

struct Expected {
  double value = 0, grad_log_scale = 0, grad_bias = 0;
  std::vector<double> grad_k;
};

/// The definition, with log sigmoid(y) = -log1p(exp(-y)) arranged to avoid overflow.
template <class T>
Expected oracle(const std::vector<T>& k, int64_t rows, int64_t cols, int64_t pairs, double log_scale,
                double bias) {
  Expected expected;
  expected.grad_k.resize(k.size());
  const double scale = std::exp(log_scale);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      const double z = i == j && i < pairs ? 1 : -1, cosine = double(k[i * cols + j]);
      const double y = z * (scale * cosine + bias);
      expected.value += (std::max(-y, 0.0) + std::log1p(std::exp(-std::abs(y)))) / double(pairs);
      const double slope = -z / (1 + std::exp(y)) / double(pairs);
      expected.grad_k[i * cols + j] = slope * scale;
      expected.grad_log_scale += slope * scale * cosine;
      expected.grad_bias += slope;
    }
  return expected;
}

/// The loss of rows of any length.
double value_of_rows(const std::vector<double>& f, const std::vector<double>& g, int64_t d, double log_scale,
                     double bias) {
  const int64_t rows = int64_t(f.size()) / d, cols = int64_t(g.size()) / d;
  const auto dot = [&](const double* a, const double* b) {
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += a[j] * b[j];
    return sum;
  };
  std::vector<double> k(rows * cols);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      const double *a = &f[i * d], *b = &g[j * d];
      k[i * cols + j] = dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
    }
  return oracle(k, rows, cols, std::min(rows, cols), log_scale, bias).value;
}

struct Output {
  double value;
  float grad_log_scale, grad_bias;
  std::vector<float> grad_k;
  bool operator==(const Output&) const = default;
};

Output run(Context& context, const std::vector<float>& k, int64_t rows, int64_t cols, float log_scale,
           float bias, const SiglipOptions& options = {}) {
  Matrix<float> matrix(context, k.data(), rows, cols);
  const Buffer<float> parameters(context, {log_scale, bias});
  Buffer<double> value(context, 1);
  Buffer<float> grads(context, 2);
  siglip_of_cosines(context, matrix, parameters.data(), parameters.data() + 1, options,
                    {.grad_k = matrix,
                     .value = value.data(),
                     .grad_log_scale = grads.data(),
                     .grad_bias = grads.data() + 1});
  return {value.download()[0], grads.download()[0], grads.download()[1], matrix.download()};
}

void expect_close(const Output& actual, const Expected& expected, double log_scale, double tolerance = 2e-6) {
  EXPECT_WITHIN(std::abs(actual.value / expected.value - 1), tolerance);
  EXPECT_WITHIN(relative_l1(actual.grad_k, expected.grad_k), tolerance);
  // The terms of these two sums may cancel, so the tolerance is relative to the sum of magnitudes.
  double slopes = 0;
  for (const double g : expected.grad_k) slopes += std::abs(g);
  EXPECT_WITHIN(std::abs(actual.grad_log_scale - expected.grad_log_scale), tolerance * slopes);
  EXPECT_WITHIN(std::abs(actual.grad_bias - expected.grad_bias), tolerance * slopes / std::exp(log_scale));
}

class SiglipTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(SiglipTest);

TEST_P(SiglipTest, AgreesWithLoops) {
  for (const int64_t rows : {1, 2, 31, 33, 127})
    for (const int64_t cols : {1, 2, 31, 32, 33, 127, 600}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << cols);
      const std::vector<float> k = random_uniform(rows * cols, uint64_t(rows * 1000 + cols));
      const int64_t most = std::min(rows, cols);
      expect_close(run(context, k, rows, cols, kLogScale, kBias),
                   oracle(k, rows, cols, most, kLogScale, kBias), kLogScale);
      const int64_t half = (most + 1) / 2;
      expect_close(run(context, k, rows, cols, 1.0f, 0.5f, {.pairs = half}),
                   oracle(k, rows, cols, half, 1.0, 0.5), 1.0);
    }
}

TEST_P(SiglipTest, LongRowsAndFarPairs) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{3, 2500}, {1100, 1063}}) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << cols);
    const std::vector<float> k = random_uniform(rows * cols, 12);
    const int64_t pairs = std::min(rows, cols);
    const Output actual = run(context, k, rows, cols, kLogScale, kBias);
    const Expected expected = oracle(k, rows, cols, pairs, kLogScale, kBias);
    expect_close(actual, expected, kLogScale);
    for (size_t i = 0; i < k.size(); ++i)
      ASSERT_TRUE(std::abs(actual.grad_k[i] / expected.grad_k[i] - 1) <= 1e-5) << i;
  }
}

TEST_P(SiglipTest, TinySlopesKeepTheirDigits) {
  const int64_t n = 65;
  const std::vector<float> k = random_uniform(n * n, 5);
  const Expected expected = oracle(k, n, n, n, 0.0, -40.0);
  const Output actual = run(context, k, n, n, 0.0f, -40.0f);
  for (size_t i = 0; i < k.size(); ++i)
    EXPECT_WITHIN(std::abs(actual.grad_k[i] / expected.grad_k[i] - 1), 1e-5) << i;
}

TEST_P(SiglipTest, HugeLogitsStayFinite) {
  const int64_t n = 33;
  std::vector<float> k = random_uniform(n * n, 6);
  for (size_t i = 0; i < k.size(); i += 3) k[i] = i % 2 ? 1.0f : -1.0f;
  for (const float log_scale : {std::log(1e4f), -20.0f})
    for (const float bias : {-1e4f, 0.0f, 1e4f}) {
      SCOPED_TRACE(::testing::Message() << log_scale << ", " << bias);
      // A logit is the float sum of these two terms; its rounding error is the relative error of a slope.
      const double terms = std::exp(log_scale) + std::abs(bias);
      expect_close(run(context, k, n, n, log_scale, bias), oracle(k, n, n, n, log_scale, bias), log_scale,
                   2e-6 + terms * std::numeric_limits<float>::epsilon());
    }
}

TEST_P(SiglipTest, NanShowsInTheValue) {
  const int64_t n = 37;
  for (const size_t place : {size_t{0}, size_t{1}, size_t{n * n - 2}}) {
    std::vector<float> k(n * n, 0.1f);
    k[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(run(context, k, n, n, kLogScale, kBias).value)) << place;
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> k(n * n, 0.1f);
  EXPECT_TRUE(std::isnan(run(context, k, n, n, nan, kBias).value));
  EXPECT_TRUE(std::isnan(run(context, k, n, n, kLogScale, nan).value));
}

TEST_P(SiglipTest, WritesNothingBesideTheGradient) {
  const int64_t rows = 7, cols = 33;
  const std::vector<float> k = random_uniform(rows * cols, 13);
  const testing::Strided<float> matrix(context, k, rows, cols, {.offset = 1, .gap = 2});
  testing::Strided<float> grad(context, rows, cols, {.offset = 3, .gap = 4}),
      in_place(context, k, rows, cols, {.offset = 2, .gap = 3}, -777.25f);
  const Buffer<float> parameters(context, {kLogScale, kBias});
  Buffer<double> value(context, 1);
  Buffer<float> grads(context, 2);
  const std::vector<float> expected = run(context, k, rows, cols, kLogScale, kBias).grad_k;
  const auto call = [&](const testing::Strided<float>& from, testing::Strided<float>& to) {
    siglip_of_cosines(context, {from.data(), rows, cols, from.stride()}, parameters.data(),
                      parameters.data() + 1, {},
                      {.grad_k = {to.data(), rows, cols, to.stride()},
                       .value = value.data(),
                       .grad_log_scale = grads.data(),
                       .grad_bias = grads.data() + 1});
    EXPECT_EQ(to.download(), expected);
  };
  call(matrix, grad);
  call(in_place, in_place);
}

TEST_P(SiglipTest, WeightScalesTheGradientsOnly) {
  const int64_t n = 20;
  const std::vector<float> k = random_uniform(n * n, 7);
  const Output one = run(context, k, n, n, kLogScale, kBias);
  const Output quarter = run(context, k, n, n, kLogScale, kBias, {.weight = 0.25f});
  EXPECT_EQ(one.value, quarter.value);
  EXPECT_EQ(one.grad_log_scale, 4 * quarter.grad_log_scale);
  EXPECT_EQ(one.grad_bias, 4 * quarter.grad_bias);
  for (size_t i = 0; i < k.size(); ++i) EXPECT_EQ(one.grad_k[i], 4 * quarter.grad_k[i]);
}

TEST_P(SiglipTest, AddsToTheGradientsOfScaleAndBiasWhereAskedTo) {
  const int64_t n = 20;
  const std::vector<float> k = random_uniform(n * n, 7);
  const Output one = run(context, k, n, n, kLogScale, kBias);
  Matrix<float> matrix(context, k.data(), n, n);
  const Buffer<float> parameters(context, {kLogScale, kBias});
  Buffer<double> value(context, std::vector<double>{3.0});
  Buffer<float> grads(context, {0.5f, -2.0f});
  siglip_of_cosines(context, matrix, parameters.data(), parameters.data() + 1, {.add_grad_parameters = true},
                    {.grad_k = matrix,
                     .value = value.data(),
                     .grad_log_scale = grads.data(),
                     .grad_bias = grads.data() + 1});
  EXPECT_EQ(grads.download(), (std::vector<float>{0.5f + one.grad_log_scale, -2.0f + one.grad_bias}));
  EXPECT_EQ(matrix.download(), one.grad_k);
  EXPECT_EQ(value.download()[0], one.value);
}

TEST_P(SiglipTest, BitwiseTheSameForEveryRunThreadCountAndPlaceOfTheGradient) {
  const int64_t rows = 127, cols = 301;
  const std::vector<float> k = random_uniform(rows * cols, 8);
  Context one(GetParam(), 1), three(GetParam(), 3);
  const Output expected = run(one, k, rows, cols, kLogScale, kBias);
  EXPECT_EQ(run(one, k, rows, cols, kLogScale, kBias), expected);
  EXPECT_EQ(run(three, k, rows, cols, kLogScale, kBias), expected);

  // Strided K, with the gradient in separate memory.
  const int64_t stride = cols + 5;
  std::vector<float> padded(rows * stride, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < rows; ++i) std::copy_n(&k[i * cols], cols, &padded[i * stride]);
  const Matrix<float> wide(context, padded.data(), rows, stride);
  const Buffer<float> parameters(context, {kLogScale, kBias});
  Matrix<float> grad(context, rows, cols);
  Buffer<double> value(context, 1);
  Buffer<float> grads(context, 2);
  siglip_of_cosines(
      context, {wide.data(), rows, cols, stride}, parameters.data(), parameters.data() + 1, {},
      {.grad_k = grad, .value = value.data(), .grad_log_scale = grads.data(), .grad_bias = grads.data() + 1});
  EXPECT_EQ(value.download()[0], expected.value);
  EXPECT_EQ(grad.download(), expected.grad_k);
  EXPECT_EQ(grads.download()[0], expected.grad_log_scale);
}

TEST_P(SiglipTest, GoldenCases) {
  const std::string folder = testing::test_files() + "/golden/";
  const nlohmann::json manifest = nlohmann::json::parse(std::ifstream(folder + "manifest.json"));
  int cases = 0;
  for (const auto& entry : manifest) {
    const std::string name = entry["case"];
    if (!name.starts_with("siglip")) continue;
    SCOPED_TRACE(name);
    ++cases;
    const int64_t n = entry["n"], d = entry["d"];
    const auto read = [&](const char* what) {
      return testing::read_golden(folder + name + "." + what + ".npy");
    };
    const Matrix<float> f(context, read("f").as_float().data(), n, d),
        g(context, read("g").as_float().data(), n, d);
    const SiglipResult result =
        siglip(context, f, g, entry["log_scale"].get<float>(), entry["bias"].get<float>());
    const auto relative = [&](double actual, const char* key) {
      const double expected = entry[key];
      return std::abs(actual / expected - 1);
    };
    EXPECT_WITHIN(relative(result.value, "value"), 1e-5);
    EXPECT_WITHIN(relative(result.grad_log_scale, "grad_log_scale"), 1e-5);
    EXPECT_WITHIN(relative(result.grad_bias, "grad_bias"), 1e-5);
    EXPECT_WITHIN(relative_l1(result.grad_f.download(), read("grad_f").values), 1e-5);
    EXPECT_WITHIN(relative_l1(result.grad_g.download(), read("grad_g").values), 1e-5);
  }
  EXPECT_EQ(cases, 2);
}

TEST_P(SiglipTest, GradientsOfRowsAgreeWithFiniteDifferences) {
  const int64_t p = 5, q = 7, d = 4;
  const std::vector<float> f = random_normal(p * d, 9), g = random_normal(q * d, 10, 3.0f);
  const SiglipResult result = siglip(context, Matrix<float>(context, f.data(), p, d),
                                     Matrix<float>(context, g.data(), q, d), kLogScale, kBias);
  std::vector<double> df(f.begin(), f.end()), dg(g.begin(), g.end());
  double log_scale = kLogScale, bias = kBias;
  const auto slope = [&](double& variable) {
    const double kept = variable, h = 1e-5;
    variable = kept + h;
    const double above = value_of_rows(df, dg, d, log_scale, bias);
    variable = kept - h;
    const double below = value_of_rows(df, dg, d, log_scale, bias);
    variable = kept;
    return (above - below) / (2 * h);
  };
  std::vector<double> slopes_f, slopes_g;
  for (double& x : df) slopes_f.push_back(slope(x));
  for (double& x : dg) slopes_g.push_back(slope(x));
  EXPECT_WITHIN(relative_l1(result.grad_f.download(), slopes_f), 5e-6);
  EXPECT_WITHIN(relative_l1(result.grad_g.download(), slopes_g), 5e-6);
  EXPECT_WITHIN(std::abs(result.grad_log_scale / slope(log_scale) - 1), 5e-6);
  EXPECT_WITHIN(std::abs(result.grad_bias / slope(bias) - 1), 5e-6);
}

TEST_P(SiglipTest, ZeroRowsGetZeroGradientsAndEqualRowsEqualOnes) {
  const int64_t n = 6, d = 3;
  std::vector<float> f = random_normal(n * d, 11), g(n * d, 0.5f);
  std::fill_n(f.begin() + 2 * d, d, 0.0f);
  const SiglipResult result = siglip(context, Matrix<float>(context, f.data(), n, d),
                                     Matrix<float>(context, g.data(), n, d), kLogScale, kBias);
  EXPECT_TRUE(std::isfinite(result.value));
  const std::vector<float> grad = result.grad_f.download();
  for (int64_t j = 0; j < d; ++j) EXPECT_EQ(grad[2 * d + j], 0.0f);
  for (const float x : grad) EXPECT_TRUE(std::isfinite(x));
}

TEST_P(SiglipTest, ErrorsNameArgumentAndValues) {
  const auto message = [&](int64_t rows, int64_t cols, const SiglipOptions& options) {
    try {
      run(context, std::vector<float>(rows * cols), rows, cols, kLogScale, kBias, options);
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(0, 3, {}), "siglip: K: expected at least one row and column, found [0, 3]");
  EXPECT_EQ(message(4, 3, {.pairs = 4}), "siglip: pairs: expected 1 to 3 (or 0 for all), found 4");
  EXPECT_EQ(message(4, 3, {.weight = std::nanf("")}), "siglip: weight: expected a finite number, found nan");
  const Matrix<float> f(context, 3, 4), g(context, 3, 5);
  EXPECT_THROW(siglip(context, f, g, kLogScale, kBias), InvalidArgument);
}

}  // namespace lib_siglip_test
}  // namespace sotalign
