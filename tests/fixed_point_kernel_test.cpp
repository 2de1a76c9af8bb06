// 16-bit fixed point: half a step of error within the bound, clamped beyond it.
#include "kernels/fixed_point.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace {

using testing::Layout;
using testing::random_uniform;
using testing::Strided;

class FixedPointTest : public testing::DeviceTest {
 protected:
  struct Result {
    std::vector<int16_t> q;
    std::vector<float> x;
  };
  Result round_trip(const std::vector<float>& x, int64_t rows, int64_t cols, float bound, Layout layout,
                    Layout fixed_layout) {
    const Strided<float> source(context, x, rows, cols, layout);
    Strided<int16_t> q(context, rows, cols, fixed_layout, int16_t{12345});
    encode_fixed_point(context.queue(), {.x = source.data(),
                                         .x_stride = source.stride(),
                                         .bound = bound,
                                         .q = q.data(),
                                         .q_stride = q.stride(),
                                         .rows = rows,
                                         .cols = cols});
    Strided<float> decoded(context, rows, cols, testing::wider(layout));
    decode_fixed_point(context.queue(), {.q = q.data(),
                                         .q_stride = q.stride(),
                                         .bound = bound,
                                         .x = decoded.data(),
                                         .x_stride = decoded.stride(),
                                         .rows = rows,
                                         .cols = cols});
    return {q.download(), decoded.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(FixedPointTest);

TEST_P(FixedPointTest, EntriesAreOffByHalfAStepAtMost) {
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {1, 2}, {31, 33}, {33, 31}, {127, 8}, {2, 257}, {3, 1030}, {1100, 3}})
    for (const float bound : {1.0f, 0.3f, 20.0f}) {
      const std::vector<float> x = random_uniform(rows * cols, 1 + rows, -bound, bound);
      const std::vector<Layout> floats = testing::layouts(cols), fixed = {{0, 0}, {8, 16 - cols % 8}, {3, 2}};
      for (size_t l = 0; l < floats.size(); ++l) {
        const Result result = round_trip(x, rows, cols, bound, floats[l], fixed[l]);
        const double step = double(bound) / 32767;
        for (size_t i = 0; i < x.size(); ++i) {
          // Beside a tie, single precision may decide for the other neighbour.
          EXPECT_WITHIN(std::abs(double(x[i]) / step - result.q[i]), 0.504) << i;
          EXPECT_WITHIN(std::abs(double(result.x[i]) - result.q[i] * step), 1.2e-7 * double(bound)) << i;
        }
      }
    }
}

TEST_P(FixedPointTest, EndsAndBeyond) {
  const std::vector<float> x = {0.0f,   -0.0f, 1.0f,  -1.0f, 1.0000001f, -1.0000001f, 1e30f,
                                -1e30f, 0.5f,  -0.5f, 1e-5f, -1e-5f,     2e-5f,       -2e-5f};
  const std::vector<int16_t> q = {0,      0,     32767,  -32767, 32767, -32767, 32767,
                                  -32767, 16384, -16384, 0,      0,     1,      -1};
  const Result result = round_trip(x, 1, static_cast<int64_t>(x.size()), 1.0f, {}, {});
  EXPECT_EQ(result.q, q);
  EXPECT_EQ(result.x[2], 1.0f);
  EXPECT_EQ(result.x[3], -1.0f);
  EXPECT_EQ(result.x[0], 0.0f);
}

}  // namespace
}  // namespace sotalign
