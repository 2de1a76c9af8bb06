// The text of progress bars, and the time that they say is left.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/sotalign/run/progress_line.h"
#include "apps/sotalign/run/remaining.h"
#include "support/temporary_directory.h"

namespace sotalign::app {
namespace program_progress_test {

std::string trained(int64_t step, double loss, double speed, std::optional<double> left, int columns,
                    const std::string& name = "train") {
  return progress_line({.name = name,
                        .step = step,
                        .total = 2000,
                        .numbers = loss_text(loss),
                        .steps_per_second = speed,
                        .seconds_left = left},
                       columns);
}

TEST(ProgressLine, ShowsBarNumbersAndTime) {
  EXPECT_EQ(
      trained(500, 0.12345, 3.4, 245, 99),
      "train [=======                       ]   500/2000  loss   0.1235      3.40 steps/s       4:05 left");
  EXPECT_EQ(trained(2000, 1, 1234.5, 0, 78),
            "train [==========]  2000/2000  loss   1.0000   1234.50 steps/s      0.0 s left");
}

TEST(ProgressLine, KeepsItsWidth) {
  for (const int columns : {1, 2, 3, 8, 20, 57, 66, 67, 70, 80, 140}) {
    const std::string first = trained(1, 0.5, 1, std::nullopt, columns);
    EXPECT_LE(first.size(), static_cast<size_t>(columns));
    for (const int64_t step : {1, 9, 10, 999, 1000, 2000})
      for (const double loss :
           {0.0, -0.12345, 12.5, 123456.789, -123456.789, 1e9, 1e300, -1e300,
            std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()})
        for (const double speed : {0.0, 0.01, 99.999, 1e6, 1e12})
          for (const std::optional<double>& left :
               {std::optional<double>(), {0}, {59.96}, {3599.9}, {86400}, {3e6}, {1e15}}) {
            const std::string line = trained(step, loss, speed, left, columns);
            ASSERT_EQ(line.size(), first.size()) << line << '\n' << first;
            ASSERT_EQ(line.find(']'), first.find(']')) << line << '\n' << first;
          }
  }
}

TEST(ProgressLine, NarrowTerminalsGetAnEllipsis) {
  EXPECT_EQ(trained(500, 0.1, 3.4, 245, 40), "train   500/2000  loss   0.1000      ...");
  EXPECT_EQ(trained(500, 0.1, 3.4, 245, 2), "..");
  // A long name becomes shorter before the numbers do.
  const std::string line = trained(500, 0.1, 3.4, 245, 90, "12/345 SAIL, 300 pairs, 250 unpaired rows");
  EXPECT_EQ(line.size(), 90u);
  EXPECT_TRUE(line.starts_with("12/345 SAIL, 300 pa... [=    ]   500/2000")) << line;
  EXPECT_TRUE(line.ends_with(" 4:05 left")) << line;
}

TEST(ProgressLine, CutsBetweenCharacters) {
  // Two columns for each of these: 3 bytes and 2 columns a character.
  std::string name;
  for (int i = 0; i < 40; ++i) name += "\xe7\x95\xaa";
  const std::string line = trained(500, 0.1, 3.4, 245, 80, name);
  const size_t end = line.find("...");
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(end % 3, 0u);
  EXPECT_LE(end / 3 * 2 + line.size() - end, 80u);
}

TEST(ProgressLine, AnUnknownTimeIsNotShown) {
  const std::string line = trained(500, 0.1, 3.4, std::nullopt, 99);
  EXPECT_EQ(line.find("left"), std::string::npos) << line;
}

TEST(Remaining, IsTheMeanSpeedAndTheRunsAfter) {
  EXPECT_EQ(seconds_left(0, 25, 100, 5.0, 0).value(), 15.0);
  EXPECT_EQ(seconds_left(50, 75, 100, 5.0, 0).value(), 5.0);  // resumed: only steps of this process count
  EXPECT_EQ(seconds_left(0, 25, 100, 5.0, 1000).value(), 1015.0);
  EXPECT_EQ(seconds_left(0, 100, 100, 5.0, 0).value(), 0.0);
  EXPECT_FALSE(seconds_left(0, 0, 100, 5.0, 0).has_value());
  EXPECT_FALSE(seconds_left(0, 25, 100, 5.0, std::nullopt).has_value());
}

TEST(Remaining, RunsTakeWhatTheMostSimilarOnesTook) {
  RunTimes times;
  EXPECT_EQ(times.estimate({}).value(), 0.0);
  EXPECT_FALSE(times.estimate({{""}}).has_value());
  times.add({"sail, 10", "sail", ""}, 2);
  times.add({"sail, 10", "sail", ""}, 4);
  times.add({"sail, 20", "sail", ""}, 9);
  times.add({"ours, 10", "ours", ""}, 25);
  EXPECT_EQ(times.estimate({{"sail, 10", "sail", ""}}).value(), 3.0);
  EXPECT_EQ(times.estimate({{"sail, 30", "sail", ""}}).value(), 5.0);
  EXPECT_EQ(times.estimate({{"other, 10", "other", ""}}).value(), 10.0);
  EXPECT_EQ(times.estimate({{"sail, 10", "sail", ""}, {"ours, 20", "ours", ""}}).value(), 28.0);
  EXPECT_FALSE(times.estimate({{"sail, 10"}, {"other"}}).has_value());
}

}  // namespace program_progress_test
}  // namespace sotalign::app
