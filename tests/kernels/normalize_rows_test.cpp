// Unit rows and their backward pass against loops, at widths on both sides of every change in the thread
// mapping.
#include <gtest/gtest.h>

#include "kernels/normalize_rows.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_normalize_rows_test {

using testing::Layout;
using testing::layouts;
using testing::random_normal;
using testing::Strided;
using Floats = std::vector<float>;

constexpr float kGuard = -777.25f;
const int64_t kWidths[] = {1, 2, 31, 32, 33, 127, 128, 129, 257, 512, 513, 4096, 4097, 4700};

class NormalizeRowsTest : public testing::DeviceTest {
 protected:
  struct Result {
    Floats y, norms;
    bool operator==(const Result&) const = default;
  };
  Result run(const Floats& x, int64_t rows, int64_t cols, Layout layout = {}, bool in_place = false,
             bool with_norms = true) {
    Strided<float> device_x(context, x, rows, cols, layout, in_place ? kGuard : std::nanf("")),
        device_y(context, rows, cols, {layout.offset + 1, layout.gap + 3}), norms(context, 1, rows, {1});
    Strided<float>& y = in_place ? device_x : device_y;
    kernels::normalize_rows(context.queue(), {.x = device_x.data(),
                                              .x_stride = device_x.stride(),
                                              .y = y.data(),
                                              .y_stride = y.stride(),
                                              .norms = with_norms ? norms.data() : nullptr,
                                              .rows = rows,
                                              .cols = cols});
    return {y.download(), norms.download()};
  }

  Floats run_backward(const Floats& y, const Floats& norms, const Floats& dy, int64_t rows, int64_t cols,
                      Layout layout = {}, bool in_place = false) {
    const Strided<float> device_y(context, y, rows, cols, {layout.offset + 1, layout.gap + 3}),
        device_norms(context, norms, 1, rows, {1});
    Strided<float> device_dy(context, dy, rows, cols, layout, in_place ? kGuard : std::nanf("")),
        device_dx(context, rows, cols, {layout.offset + 2, layout.gap + 1});
    Strided<float>& dx = in_place ? device_dy : device_dx;
    kernels::normalize_rows_backward(context.queue(), {.y = device_y.data(),
                                                       .y_stride = device_y.stride(),
                                                       .norms = device_norms.data(),
                                                       .dy = device_dy.data(),
                                                       .dy_stride = device_dy.stride(),
                                                       .dx = dx.data(),
                                                       .dx_stride = dx.stride(),
                                                       .rows = rows,
                                                       .cols = cols});
    return dx.download();
  }
};
SOTALIGN_ON_EVERY_DEVICE(NormalizeRowsTest);

TEST_P(NormalizeRowsTest, AgreesWithLoops) {
  for (const int64_t cols : kWidths)
    for (const int64_t rows : {1, 2, 9, 33}) {
      if (rows > 9 && cols > 600) continue;
      SCOPED_TRACE(::testing::Message() << rows << " x " << cols);
      const Floats x = random_normal(rows * cols, 1), dy = random_normal(rows * cols, 2);
      std::vector<double> y(x.size()), norms, dx(x.size()), dx_scale(x.size());
      for (int64_t i = 0; i < rows; ++i) {
        double square = 0, inner = 0;
        for (int64_t j = i * cols; j < (i + 1) * cols; ++j) square += double(x[j]) * double(x[j]);
        const double norm = std::sqrt(square);
        norms.push_back(norm);
        for (int64_t j = i * cols; j < (i + 1) * cols; ++j) {
          y[j] = x[j] / norm;
          inner += double(float(y[j])) * double(dy[j]);  // uses the rounded y, as the kernel does
        }
        for (int64_t j = i * cols; j < (i + 1) * cols; ++j) {
          dx[j] = (dy[j] - float(y[j]) * inner) / norm;
          dx_scale[j] = (std::abs(dy[j]) + std::abs(y[j] * inner)) / norm;
        }
      }
      const Result result = run(x, rows, cols);
      for (size_t j = 0; j < x.size(); ++j)
        ASSERT_TRUE(std::abs(result.y[j] - y[j]) <= 2e-7 * std::abs(y[j])) << j << ": " << result.y[j];
      for (size_t i = 0; i < norms.size(); ++i)
        EXPECT_WITHIN(std::abs(result.norms[i] - norms[i]), 1e-7 * norms[i]);
      const Floats gradient =
          run_backward({y.begin(), y.end()}, {norms.begin(), norms.end()}, dy, rows, cols);
      for (size_t j = 0; j < x.size(); ++j)
        ASSERT_TRUE(std::abs(gradient[j] - dx[j]) <= 4e-7 * dx_scale[j]) << j << ": " << gradient[j];
    }
}

TEST_P(NormalizeRowsTest, LayoutPlaceAndCompanyDoNotChangeABit) {
  for (const int64_t cols : kWidths) {
    const int64_t rows = 3;
    const Floats x = random_normal(rows * cols, 1), dy = random_normal(rows * cols, 2);
    const Result expected = run(x, rows, cols);
    const Floats gradient = run_backward(expected.y, expected.norms, dy, rows, cols);
    for (const Layout layout : layouts(cols))
      for (const bool in_place : {false, true}) {
        SCOPED_TRACE(::testing::Message() << cols << ", offset " << layout.offset << ", " << in_place);
        EXPECT_EQ(run(x, rows, cols, layout, in_place), expected);
        EXPECT_EQ(run(x, rows, cols, layout, in_place, false).y, expected.y);
        EXPECT_EQ(run_backward(expected.y, expected.norms, dy, rows, cols, layout, in_place), gradient);
      }
    const auto last = [&](const Floats& all) { return Floats(all.end() - cols, all.end()); };
    const Result alone = run(last(x), 1, cols);
    EXPECT_EQ(alone.y, last(expected.y)) << cols;
    EXPECT_EQ(alone.norms[0], expected.norms[2]) << cols;
    EXPECT_EQ(run_backward(alone.y, alone.norms, last(dy), 1, cols), last(gradient)) << cols;
  }
}

TEST_P(NormalizeRowsTest, ZeroRowsStayZeroAndNanStaysInItsRow) {
  const float nan = std::nanf("");
  for (const int64_t cols : {3, 200, 1000}) {
    Floats x(4 * cols, 2.0f);
    std::fill_n(x.begin() + cols, cols, 0.0f);
    x[3 * cols - 1] = nan;  // last entry of row 2
    const Result result = run(x, 4, cols);
    const float share = static_cast<float>(1 / std::sqrt(static_cast<double>(cols)));
    for (int64_t j = 0; j < cols; ++j) {
      EXPECT_WITHIN(std::abs(result.y[j] - share), 2e-7 * share);
      EXPECT_EQ(result.y[cols + j], 0.0f);
      EXPECT_EQ(result.y[3 * cols + j], result.y[j]);
    }
    EXPECT_EQ(result.norms[1], 0.0f);
    EXPECT_TRUE(std::isnan(result.norms[2]));
    EXPECT_TRUE(std::isnan(result.y[3 * cols - 1]));

    const Floats gradient = run_backward(x, {1, 0, 1, 1}, Floats(4 * cols, 1.0f), 4, cols);
    for (int64_t j = 0; j < cols; ++j) {
      EXPECT_EQ(gradient[cols + j], 0.0f);
      EXPECT_TRUE(std::isnan(gradient[2 * cols + j]));
      EXPECT_TRUE(std::isfinite(gradient[3 * cols + j]));
    }
  }
}

TEST_P(NormalizeRowsTest, LengthsBeyondFloatsOwnSquares) {
  for (const float size : {1e-30f, 1e30f}) {
    const Result result = run(Floats(100, size), 1, 100);
    EXPECT_WITHIN(std::abs(result.norms[0] / (10.0 * size) - 1), 2e-7);
    EXPECT_WITHIN(std::abs(result.y[99] - 0.1), 2e-8);
  }
}

// Below the smallest normal number 1 / |x| overflows, which would give a NaN or an infinity.
TEST_P(NormalizeRowsTest, RowsTooShortForADirectionAreZero) {
  for (const int64_t cols : {1, 40, 1000}) {
    Floats x(2 * cols, 0.0f);
    x[cols - 1] = 1e-39f;
    x[2 * cols - 1] = 2e-38f;  // short, but just long enough
    const Result result = run(x, 2, cols);
    EXPECT_EQ(result.y[cols - 1], 0.0f);
    EXPECT_EQ(result.norms[0], 0.0f);
    EXPECT_EQ(result.y[2 * cols - 1], 1.0f);
    EXPECT_EQ(result.norms[1], 2e-38f);
    for (const float g : run_backward(result.y, result.norms, Floats(2 * cols, 1.0f), 2, cols))
      EXPECT_TRUE(std::isfinite(g)) << g;
  }
}

}  // namespace kernels_normalize_rows_test
}  // namespace sotalign
