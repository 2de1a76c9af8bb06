// Sorted angles against atan2 and std::sort, on every device.
#include "kernels/sort_angles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sotalign/core/buffer.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign {
namespace kernels_sort_angles_test {

using testing::random_normal;

class SortAnglesTest : public testing::DeviceTest {
 protected:
  std::vector<double> sorted(const std::vector<float>& points, int64_t planes, int64_t count,
                             int64_t stride) {
    const Buffer<float> x(context, points);
    Buffer<double> turns(context, std::vector<double>(static_cast<size_t>(planes * count), -1));
    kernels::SortAngles args{
        .points = x.data(), .points_stride = stride, .planes = planes, .count = count, .turns = turns.data()};
    Workspace workspace(context);
    args.scratch =
        workspace.take<char>(static_cast<int64_t>(kernels::sort_angles_scratch(context.queue(), args)));
    kernels::sort_angles(context.queue(), args);
    return turns.download();
  }
  static std::vector<double> oracle(const std::vector<float>& points, int64_t planes, int64_t count,
                                    int64_t stride) {
    std::vector<double> result;
    for (int64_t p = 0; p < planes; ++p) {
      std::vector<double> turns;
      for (int64_t i = 0; i < count; ++i) {
        const double x = points[size_t(2 * p * stride + i)], y = points[size_t((2 * p + 1) * stride + i)];
        const double turn = std::atan2(y, x) / (2 * std::numbers::pi);
        turns.push_back(turn < 0 ? turn + 1 : turn);
      }
      std::sort(turns.begin(), turns.end());
      result.insert(result.end(), turns.begin(), turns.end());
    }
    return result;
  }
};
SOTALIGN_ON_EVERY_DEVICE(SortAnglesTest);

TEST_P(SortAnglesTest, AgreesWithTheOracle) {
  for (const int64_t planes : {1, 3})
    for (const int64_t count : {1, 2, 31, 32, 33, 127, 1000}) {
      SCOPED_TRACE(std::to_string(planes) + " planes, " + std::to_string(count) + " points");
      const int64_t stride = count + 5;
      const std::vector<float> points = random_normal(2 * planes * stride, uint64_t(count));
      const std::vector<double> found = sorted(points, planes, count, stride),
                                expected = oracle(points, planes, count, stride);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_WITHIN(std::abs(found[i] - expected[i]), 1e-15) << i;
        ASSERT_TRUE(found[i] >= 0 && found[i] < 1);
      }
      for (int64_t p = 0; p < planes; ++p)
        ASSERT_TRUE(std::is_sorted(found.begin() + p * count, found.begin() + (p + 1) * count));
      EXPECT_EQ(sorted(points, planes, count, stride), found) << "again, to the bit";
    }
}

TEST_P(SortAnglesTest, AxesTiesAndTheEndOfATurn) {
  // Along the axes, some of them twice; -0 is no turn, and just below the first axis is less than one turn or
  // none, never one.
  const std::vector<float> x = {-1, 0, 2, 0, 1, -3, 1, 1, 1},
                           y = {0.0f, -1, 0.0f, 5, -0.0f, -0.0f, -1e-30f, -1e-3f, 1};
  std::vector<float> points = x;
  points.insert(points.end(), y.begin(), y.end());
  const std::vector<double> found = sorted(points, 1, int64_t(x.size()), int64_t(x.size()));
  const std::vector<double> expected = {
      0, 0, 0, 0.125, 0.25, 0.5, 0.5, 0.75, 1 - std::atan(double{1e-3f}) / (2 * std::numbers::pi)};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_WITHIN(std::abs(found[i] - expected[i]), 1e-15) << i;
    EXPECT_FALSE(std::signbit(found[i])) << i;
  }
}

}  // namespace kernels_sort_angles_test
}  // namespace sotalign
