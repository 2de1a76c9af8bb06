// Bias and activation, their backward pass, and column sums.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/bias_activation.h"
#include "kernels/column_sum.h"
#include "sotalign/core/buffer.h"
#include "support/activations.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_activation_test {

using testing::activate;
using testing::kActivations;
using testing::max_difference;
using testing::random_normal;
using testing::relative_l1;

double derivative(Activation activation, double z) {
  if (activation == Activation::kRelu) return z > 0;
  const double h = 1e-5;
  return (activate(activation, z + h) - activate(activation, z - h)) / (2 * h);
}

class ActivationTest : public testing::DeviceTest {
 protected:
  struct Result {
    std::vector<float> y, dx;
  };
  /// Forward and backward; in place if the activation allows it and the strides match.
  Result run(Context& where, Activation activation, const std::vector<float>& x, const std::vector<float>& b,
             const std::vector<float>& dy, int64_t rows) {
    const kernels::Activation kind = static_cast<kernels::Activation>(activation);
    const int64_t cols = static_cast<int64_t>(b.size());
    const bool keep = kernels::backward_needs_input(kind);
    Matrix<float> input(where, x.data(), rows, cols), output(where, rows, cols),
        gradient(where, dy.data(), rows, cols);
    const Buffer<float> bias(where, b);
    Matrix<float>& y = keep ? output : input;
    kernels::bias_activation(where.queue(), {.activation = kind,
                                             .x = input.data(),
                                             .x_stride = cols,
                                             .bias = bias.data(),
                                             .y = y.data(),
                                             .y_stride = cols,
                                             .rows = rows,
                                             .cols = cols});
    kernels::bias_activation_backward(where.queue(), {.activation = kind,
                                                      .saved = input.data(),
                                                      .saved_stride = cols,
                                                      .bias = bias.data(),
                                                      .dy = gradient.data(),
                                                      .dy_stride = cols,
                                                      .dx = gradient.data(),
                                                      .dx_stride = cols,
                                                      .rows = rows,
                                                      .cols = cols});
    return {y.download(), gradient.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(ActivationTest);

TEST_P(ActivationTest, AgreesWithTheDefinition) {
  for (const Activation activation : kActivations)
    for (const int64_t cols : {1, 2, 31, 32, 33, 127}) {
      const int64_t rows = 17;
      const std::vector<float> x = random_normal(rows * cols, 1, 2.0f), b = random_normal(cols, 2),
                               dy = random_normal(rows * cols, 3);
      const Result result = run(context, activation, x, b, dy, rows);
      std::vector<double> y(x.size()), dx(x.size());
      for (int64_t i = 0; i < rows * cols; ++i) {
        const double z = static_cast<double>(x[i] + b[i % cols]);  // rounded to float, as on every device
        y[i] = activate(activation, z);
        dx[i] = dy[i] * derivative(activation, z);
      }
      EXPECT_WITHIN(relative_l1(result.y, y), 2e-7) << static_cast<int>(activation) << " " << cols;
      EXPECT_WITHIN(max_difference(result.dx, dx), 2e-6) << static_cast<int>(activation) << " " << cols;
    }
}

TEST_P(ActivationTest, KeepsItsDigitsOverTheWholeRange) {
  std::vector<float> x;
  for (float z = -13.0f; z <= 13.0f; z += 1.0f / 512) x.push_back(z);
  const std::vector<float> dy(x.size(), 1.0f);
  for (const Activation activation : {Activation::kGelu, Activation::kTanh}) {
    const Result result = run(context, activation, x, {0.0f}, dy, static_cast<int64_t>(x.size()));
    double worst = 0, worst_gradient = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double y = activate(activation, x[i]);
      // Far out in the tail Phi is exp(-z^2 / 2): rounding the exponent scales the relative error.
      const double scale = std::max(1.0, 0.5 * double(x[i]) * x[i]);
      const double error = y == 0 ? std::abs(double(result.y[i])) : std::abs(result.y[i] - y) / std::abs(y);
      worst = std::max(worst, error / scale);
      worst_gradient = std::max(worst_gradient, std::abs(result.dx[i] - derivative(activation, x[i])));
    }
    EXPECT_WITHIN(worst, 5e-7) << static_cast<int>(activation);
    EXPECT_WITHIN(worst_gradient, 5e-7) << static_cast<int>(activation);
  }
}

TEST_P(ActivationTest, HugeValuesSaturateAndNanStays) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {1e30f, -1e30f, 3e38f, -3e38f, 0.0f, nan};
  for (const Activation activation : kActivations) {
    const Result result = run(context, activation, x, {0.0f}, std::vector<float>(x.size(), 1.0f), 6);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(result.y[i], static_cast<float>(activate(activation, x[i]))) << i;
      const bool flat = activation == Activation::kTanh ? i < 4 : i == 1 || i == 3;
      if (activation == Activation::kNone || i == 4) continue;
      EXPECT_EQ(result.dx[i], flat ? 0.0f : 1.0f) << static_cast<int>(activation) << " " << i;
    }
    EXPECT_TRUE(std::isnan(result.y[5])) << static_cast<int>(activation);
    const bool smooth = activation == Activation::kGelu || activation == Activation::kTanh;
    EXPECT_EQ(std::isnan(result.dx[5]), smooth) << static_cast<int>(activation);
  }
}

TEST_P(ActivationTest, DoesNotDependOnThreadsOrPosition) {
  // 33 columns end in single lanes, 64 do not: the same value must give the same bits in both.
  const std::vector<float> wide = random_normal(129 * 64, 5);
  std::vector<float> narrow;
  for (size_t i = 0; i < wide.size(); ++i)
    if (i % 64 < 33) narrow.push_back(wide[i]);
  Context single(GetParam(), 1), several(GetParam(), 3);
  for (const Activation activation : kActivations) {
    const Result a = run(single, activation, wide, std::vector<float>(64, 0.1f), wide, 129);
    const Result b = run(several, activation, wide, std::vector<float>(64, 0.1f), wide, 129);
    const Result c = run(several, activation, narrow, std::vector<float>(33, 0.1f), narrow, 129);
    EXPECT_EQ(a.y, b.y);
    EXPECT_EQ(a.dx, b.dx);
    for (size_t i = 0; i < 129; ++i)
      for (size_t j = 0; j < 33; ++j) {
        ASSERT_EQ(a.y[i * 64 + j], c.y[i * 33 + j]);
        ASSERT_EQ(a.dx[i * 64 + j], c.dx[i * 33 + j]);
      }
  }
}

class ColumnSumTest : public testing::DeviceTest {
 protected:
  std::vector<float> run(Context& where, const std::vector<float>& x, int64_t rows, int64_t cols,
                         int64_t stride) {
    const Buffer<float> dx(where, x);
    testing::Strided<float> sum(where, 1, cols, {.offset = 1});
    testing::Strided<double> scratch(where, kernels::column_sum_blocks(rows), cols, {.offset = 1});
    kernels::column_sum(where.queue(), {.x = dx.data(),
                                        .x_stride = stride,
                                        .sum = sum.data(),
                                        .scratch = scratch.data(),
                                        .rows = rows,
                                        .cols = cols});
    scratch.download();  // checks the guards around it
    return sum.download();
  }
};
SOTALIGN_ON_EVERY_DEVICE(ColumnSumTest);

TEST_P(ColumnSumTest, AgreesWithLoopsForAnyNumberOfThreads) {
  Context single(GetParam(), 1), several(GetParam(), 3);
  for (const int64_t rows : {0, 1, 2, 31, 127, 128, 129, 1000, 2500})
    for (const int64_t cols : {1, 2, 31, 32, 33, 127, 257}) {
      const int64_t stride = cols + 2;
      // Float accumulation on top of a large constant would lose the digits that distinguish the rows.
      std::vector<float> x = random_normal(rows * stride, 1);
      for (float& value : x) value += 1000.0f;
      std::vector<float> expected(static_cast<size_t>(cols));
      for (int64_t j = 0; j < cols; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < rows; ++i) sum += x[i * stride + j];
        expected[j] = static_cast<float>(sum);
      }
      const std::vector<float> sums = run(single, x, rows, cols, stride);
      EXPECT_WITHIN(relative_l1(sums, expected), 1e-7) << rows << " " << cols;
      EXPECT_EQ(run(several, x, rows, cols, stride), sums);
    }
}

TEST_P(ColumnSumTest, NanStaysInItsColumn) {
  const int64_t rows = 300, cols = 40;
  std::vector<float> x(rows * cols, 0.5f);
  x[299 * cols + 39] = std::numeric_limits<float>::quiet_NaN();
  x[130 * cols + 3] = std::numeric_limits<float>::infinity();
  const std::vector<float> sums = run(context, x, rows, cols, cols);
  for (int64_t j = 0; j < 39; ++j)
    EXPECT_EQ(sums[j], j == 3 ? std::numeric_limits<float>::infinity() : 150.0f) << j;
  EXPECT_TRUE(std::isnan(sums[39]));
}

}  // namespace kernels_activation_test
}  // namespace sotalign
