// 16-bit fixed point: errors up to half a step within each row's range, and exact ends.
#include "kernels/fixed_point.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_fixed_point_test {

using testing::Layout;
using testing::random_uniform;
using testing::Strided;

class FixedPointTest : public testing::DeviceTest {
 protected:
  struct Result {
    std::vector<int16_t> q;
    std::vector<float> centre, step, x;
  };
  Result round_trip(const std::vector<float>& x, int64_t rows, int64_t cols, Layout layout = {},
                    Layout fixed_layout = {}) {
    const Strided<float> source(context, x, rows, cols, layout);
    Strided<int16_t> q(context, rows, cols, fixed_layout, int16_t{12345});
    Buffer<float> centre(context, rows), step(context, rows);
    encode_fixed_point(context.queue(), {.x = source.data(),
                                         .x_stride = source.stride(),
                                         .q = q.data(),
                                         .q_stride = q.stride(),
                                         .centre = centre.data(),
                                         .step = step.data(),
                                         .rows = rows,
                                         .cols = cols});
    Strided<float> decoded(context, rows, cols, testing::wider(layout));
    decode_fixed_point(context.queue(), {.q = q.data(),
                                         .q_stride = q.stride(),
                                         .centre = centre.data(),
                                         .step = step.data(),
                                         .x = decoded.data(),
                                         .x_stride = decoded.stride(),
                                         .rows = rows,
                                         .cols = cols});
    return {q.download(), centre.download(), step.download(), decoded.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(FixedPointTest);

// Rows with very different ranges and centres, some of them far from zero.
TEST_P(FixedPointTest, EntriesAreOffByHalfAStepOfTheirRowAtMost) {
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {1, 2}, {31, 33}, {33, 31}, {127, 8}, {2, 257}, {3, 1030}, {600, 3}}) {
    std::vector<float> x = random_uniform(rows * cols, 1 + rows, -1, 1);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        x[i * cols + j] = std::ldexp(x[i * cols + j], int(i % 7) - 4) + float(i % 5 - 2) * 0.25f;
    const std::vector<Layout> floats = testing::layouts(cols), fixed = {{0, 0}, {8, 16 - cols % 8}, {3, 2}};
    for (size_t l = 0; l < floats.size(); ++l) {
      const Result result = round_trip(x, rows, cols, floats[l], fixed[l]);
      for (int64_t i = 0; i < rows; ++i) {
        const auto row = x.begin() + i * cols;
        const double lowest = *std::min_element(row, row + cols),
                     highest = *std::max_element(row, row + cols);
        // Single precision rounds the centre and each value's difference to it, in both directions.
        const double half = (highest - lowest) / 2,
                     rounding = 2.4e-7 * std::max(std::abs(lowest), std::abs(highest));
        EXPECT_WITHIN(std::abs(double(result.step[i]) - half / 32767), 1e-6 * half / 32767);
        EXPECT_WITHIN(std::abs(double(result.centre[i]) - (lowest + highest) / 2), rounding);
        for (int64_t j = 0; j < cols; ++j) {
          const double error = std::abs(double(result.x[i * cols + j]) - double(row[j]));
          EXPECT_WITHIN(error, 0.504 * half / 32767 + rounding) << i << ", " << j;
          const double decoded = double(result.centre[i]) + double(result.step[i]) * result.q[i * cols + j];
          EXPECT_WITHIN(std::abs(double(result.x[i * cols + j]) - decoded), rounding) << i << ", " << j;
        }
      }
    }
  }
}

TEST_P(FixedPointTest, EndsAndEqualEntries) {
  const Result result = round_trip({-1.0f, 0.0f, 1.0f, 0.5f,       //
                                    3.25f, 3.25f, 3.25f, 3.25f,    //
                                    -2e38f, 2e38f, 3e38f, -3e38f,  //
                                    1.0f, 1.0f, 1.0f, std::nextafter(1.0f, 2.0f)},
                                   4, 4);
  EXPECT_EQ(std::vector<int16_t>(result.q.begin(), result.q.begin() + 4),
            (std::vector<int16_t>{-32767, 0, 32767, 16384}));
  EXPECT_EQ(std::vector<float>(result.x.begin(), result.x.begin() + 3), (std::vector<float>{-1, 0, 1}));
  for (int j = 0; j < 4; ++j) EXPECT_EQ(result.x[4 + j], 3.25f);
  EXPECT_EQ(result.step[1], 0.0f);
  EXPECT_WITHIN(std::abs(result.x[10] / 3e38f - 1), 1e-6f);
  EXPECT_WITHIN(std::abs(result.x[11] / 3e38f + 1), 1e-6f);
  for (int j = 0; j < 4; ++j) EXPECT_WITHIN(std::abs(result.x[12 + j] - 1), 1.2e-7f);
}

}  // namespace kernels_fixed_point_test
}  // namespace sotalign
