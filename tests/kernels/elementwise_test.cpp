// Centring, scaling and activations on matrices with gaps, at any alignment, and in place.
#include <gtest/gtest.h>

#include "kernels/bias_activation.h"
#include "kernels/center_rows.h"
#include "kernels/scale_matrix.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_elementwise_test {

using testing::Layout;
using testing::layouts;
using testing::random_normal;
using testing::Strided;
using testing::wider;

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{1, 1},   {2, 1},   {1, 2},    {31, 33},  {33, 31},
                                                          {127, 2}, {2, 257}, {3, 1030}, {1100, 3}, {17, 32}};

template <class T>
std::vector<T> random(int64_t count, uint64_t seed) {
  const std::vector<float> values = random_normal(count, seed);
  std::vector<T> result(values.begin(), values.end());
  for (T& value : result) value /= T(3);  // doubles that use all their digits
  return result;
}

class CenterRowsTest : public testing::DeviceTest {
 protected:
  /// Exact, because a difference rounds only once. In place if `y` is null.
  template <class T>
  void check(int64_t rows, int64_t cols, Layout layout, bool in_place) {
    const std::vector<float> x = random_normal(rows * cols, 1, 10.0f);
    const std::vector<T> mean = random<T>(cols, 2);
    std::vector<T> expected(x.size());
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) expected[i * cols + j] = T(x[i * cols + j]) - mean[j];

    const Strided<T> device_mean(context, mean, 1, cols, {.offset = 1});
    if constexpr (std::is_same_v<T, float>)
      if (in_place) {
        Strided<float> both(context, x, rows, cols, layout, -777.25f);
        center_rows(context.queue(), kernels::CenterRows<float>{.x = both.data(),
                                                                .x_stride = both.stride(),
                                                                .mean = device_mean.data(),
                                                                .y = both.data(),
                                                                .y_stride = both.stride(),
                                                                .rows = rows,
                                                                .cols = cols});
        EXPECT_EQ(both.download(), expected);
        return;
      }
    const Strided<float> device_x(context, x, rows, cols, layout);
    Strided<T> y(context, rows, cols, wider(layout));
    center_rows(context.queue(), kernels::CenterRows<T>{.x = device_x.data(),
                                                        .x_stride = device_x.stride(),
                                                        .mean = device_mean.data(),
                                                        .y = y.data(),
                                                        .y_stride = y.stride(),
                                                        .rows = rows,
                                                        .cols = cols});
    EXPECT_EQ(y.download(), expected);
  }
};
SOTALIGN_ON_EVERY_DEVICE(CenterRowsTest);

TEST_P(CenterRowsTest, SubtractsTheMeanInAnyLayout) {
  for (const auto& [rows, cols] : kShapes)
    for (const Layout layout : layouts(cols)) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << cols << ", offset " << layout.offset);
      check<float>(rows, cols, layout, false);
      check<float>(rows, cols, layout, true);
      check<double>(rows, cols, layout, false);
    }
}

class ScaleMatrixTest : public testing::DeviceTest {
 protected:
  template <class T>
  void check(int64_t rows, int64_t cols, Layout layout, bool row_factors, bool column_factors) {
    const std::vector<double> x = random<double>(rows * cols, 1), r = random<double>(rows, 2),
                              c = random<double>(cols, 3);
    std::vector<T> expected(x.size());
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        expected[i * cols + j] =
            T((row_factors ? r[i] : 1.0) * x[i * cols + j] * (column_factors ? c[j] : 1.0));

    const Strided<double> device_r(context, r, 1, rows, {.offset = 1}), device_c(context, c, 1, cols, {1});
    const auto scale = [&](const Strided<double>& from, Strided<T>& to) {
      scale_matrix(context.queue(),
                   kernels::ScaleMatrix<T>{.x = from.data(),
                                           .x_stride = from.stride(),
                                           .row_factors = row_factors ? device_r.data() : nullptr,
                                           .column_factors = column_factors ? device_c.data() : nullptr,
                                           .y = to.data(),
                                           .y_stride = to.stride(),
                                           .rows = rows,
                                           .cols = cols});
    };
    const Strided<double> device_x(context, x, rows, cols, layout);
    Strided<T> y(context, rows, cols, wider(layout));
    scale(device_x, y);
    EXPECT_EQ(y.download(), expected);
    if constexpr (std::is_same_v<T, double>) {
      Strided<double> both(context, x, rows, cols, layout, -777.25);
      scale(both, both);
      EXPECT_EQ(both.download(), expected);
    }
  }
};
SOTALIGN_ON_EVERY_DEVICE(ScaleMatrixTest);

TEST_P(ScaleMatrixTest, MultipliesByTheFactorsThatAreThere) {
  for (const auto& [rows, cols] : kShapes)
    for (const Layout layout : layouts(cols))
      for (const bool row_factors : {false, true})
        for (const bool column_factors : {false, true}) {
          SCOPED_TRACE(::testing::Message() << rows << " x " << cols << ", offset " << layout.offset
                                            << ", factors " << row_factors << column_factors);
          check<float>(rows, cols, layout, row_factors, column_factors);
          check<double>(rows, cols, layout, row_factors, column_factors);
        }
}

class BiasActivationTest : public testing::DeviceTest {
 protected:
  struct Result {
    std::vector<float> y, dx;
    bool operator==(const Result&) const = default;
  };
  /// y and dx have their own memory or share that of x and dy.
  Result run(kernels::Activation activation, int64_t rows, int64_t cols, Layout layout, bool in_place) {
    const std::vector<float> x = random_normal(rows * cols, 1, 2.0f), dy = random_normal(rows * cols, 2),
                             saved = random_normal(rows * cols, 3);
    const Strided<float> bias(context, random_normal(cols, 4), 1, cols, {.offset = 1}),
        device_saved(context, saved, rows, cols, wider(wider(layout)));
    const float guard = in_place ? -777.25f : std::numeric_limits<float>::quiet_NaN();
    Strided<float> device_x(context, x, rows, cols, layout, guard),
        device_dy(context, dy, rows, cols, layout, guard), device_y(context, rows, cols, wider(layout)),
        device_dx(context, rows, cols, wider(layout));
    Strided<float>&y = in_place ? device_x : device_y, &dx = in_place ? device_dy : device_dx;
    kernels::bias_activation(context.queue(), {.activation = activation,
                                               .x = device_x.data(),
                                               .x_stride = device_x.stride(),
                                               .bias = bias.data(),
                                               .y = y.data(),
                                               .y_stride = y.stride(),
                                               .rows = rows,
                                               .cols = cols});
    kernels::bias_activation_backward(context.queue(), {.activation = activation,
                                                        .saved = device_saved.data(),
                                                        .saved_stride = device_saved.stride(),
                                                        .bias = bias.data(),
                                                        .dy = device_dy.data(),
                                                        .dy_stride = device_dy.stride(),
                                                        .dx = dx.data(),
                                                        .dx_stride = dx.stride(),
                                                        .rows = rows,
                                                        .cols = cols});
    return {y.download(), dx.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(BiasActivationTest);

// activation_test.cpp checks the values on dense matrices.
TEST_P(BiasActivationTest, LayoutAndPlaceDoNotChangeABit) {
  for (const kernels::Activation activation : {kernels::Activation::kNone, kernels::Activation::kRelu,
                                               kernels::Activation::kGelu, kernels::Activation::kTanh})
    for (const auto& [rows, cols] : kShapes) {
      const Result dense = run(activation, rows, cols, {}, false);
      for (const Layout layout : layouts(cols))
        for (const bool in_place : {false, true})
          EXPECT_EQ(run(activation, rows, cols, layout, in_place), dense)
              << static_cast<int>(activation) << ", " << rows << " x " << cols << ", offset "
              << layout.offset;
    }
}

// 1100 rows and 1030 columns take several blocks plus a tail in both directions.
TEST_P(BiasActivationTest, EveryEntryOfALargeMatrixHasItsRowAndColumn) {
  const int64_t rows = 1100, cols = 1030;
  std::vector<float> x(rows * cols), bias(cols), expected(rows * cols);
  for (int64_t j = 0; j < cols; ++j) bias[j] = float(j);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      x[i * cols + j] = float(i * 2048);
      expected[i * cols + j] = float(i * 2048 + j);
    }
  for (const Layout layout : layouts(cols)) {
    const Strided<float> device_x(context, x, rows, cols, layout), device_bias(context, bias, 1, cols, {});
    Strided<float> y(context, rows, cols, wider(layout));
    kernels::bias_activation(context.queue(), {.x = device_x.data(),
                                               .x_stride = device_x.stride(),
                                               .bias = device_bias.data(),
                                               .y = y.data(),
                                               .y_stride = y.stride(),
                                               .rows = rows,
                                               .cols = cols});
    EXPECT_EQ(testing::max_difference(y.download(), expected), 0.0);
  }
}

}  // namespace kernels_elementwise_test
}  // namespace sotalign
