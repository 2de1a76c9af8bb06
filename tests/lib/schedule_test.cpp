// Learning-rate schedules at points with known values.
#include "sotalign/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "sotalign/core/error.h"

namespace sotalign {
namespace lib_schedule_test {

TEST(Schedule, CosineStartsAtThePeakAndEndsAtTheFinalFraction) {
  const ScheduleOptions options{.peak = 2.0, .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, 100), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 50, 100), 1.1);
  EXPECT_DOUBLE_EQ(learning_rate(options, 100, 100), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 2.0}, 25, 100), 1.0 + std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 2.0}, 100, 100), 0.0);
  for (int64_t step = 1; step <= 100; ++step)
    EXPECT_LT(learning_rate(options, step, 100), learning_rate(options, step - 1, 100));
}

TEST(Schedule, WarmUpRisesLinearlyToThePeak) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kCosine}) {
    const ScheduleOptions options{.kind = kind, .peak = 3.0, .warmup_steps = 4};
    EXPECT_DOUBLE_EQ(learning_rate(options, 0, 10), 0.75);
    EXPECT_DOUBLE_EQ(learning_rate(options, 2, 10), 2.25);
    EXPECT_DOUBLE_EQ(learning_rate(options, 3, 10), 3.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 4, 10), 3.0);
    EXPECT_DOUBLE_EQ(learning_rate(options, 7, 10), kind == ScheduleKind::kConstant ? 3.0 : 1.5);
  }
}

TEST(Schedule, ConstantStaysAtThePeak) {
  for (const int64_t step : {0, 1, 7, 10})
    EXPECT_EQ(learning_rate({.kind = ScheduleKind::kConstant, .peak = 0.5}, step, 10), 0.5);
}

TEST(Schedule, ShortestTrainingsAreFinite) {
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 1.0}, 0, 1), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate({.peak = 1.0}, 1, 1), 0.0);
  const ScheduleOptions only_warmup{.peak = 1.0, .warmup_steps = 5, .final_fraction = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate(only_warmup, 4, 5), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(only_warmup, 5, 5), 0.5);
}

TEST(Schedule, ErrorsNameArgumentAndValues) {
  const auto message = [](const ScheduleOptions& options, int64_t step, int64_t total) {
    try {
      learning_rate(options, step, total);
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message({.peak = -1}, 0, 10), "schedule: peak, expected 0 or a positive number, found -1");
  EXPECT_EQ(message({.peak = NAN}, 0, 10), "schedule: peak, expected 0 or a positive number, found nan");
  EXPECT_EQ(message({.final_fraction = 1.5}, 0, 10), "schedule: final_fraction, expected 0 to 1, found 1.5");
  EXPECT_EQ(message({.warmup_steps = 11}, 0, 10),
            "schedule: warmup_steps, expected 0 to 10 (all steps), found 11");
  EXPECT_EQ(message({}, 0, 0), "schedule: total_steps, expected at least 1, found 0");
  EXPECT_EQ(message({}, 11, 10), "schedule: step, expected 0 to 10, found 11");
  EXPECT_EQ(message({}, -1, 10), "schedule: step, expected 0 to 10, found -1");
}

}  // namespace lib_schedule_test
}  // namespace sotalign
