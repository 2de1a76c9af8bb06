// Histograms: counts against a loop, and outlines whose heights are the shares.
#include "apps/sotalign/plot/histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sotalign/core/random.h"
#include "support/compare.h"
#include "support/error_message.h"
#include "support/svg.h"

namespace sotalign::app {
namespace program_histogram_test {

using namespace sotalign::testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Histogram, CountsAgreeWithALoopOverEdges) {
  const RandomStream random(3, stream_id("histogram"));
  std::vector<double> values;
  for (uint64_t i = 0; i < 500; ++i)
    values.push_back(std::ldexp(static_cast<double>(random.bits64(i) >> 11), -53) * 3 - 1.5);
  values.insert(values.end(), {-1, -0.5, 0, 0.5, 1, -7, 7});
  for (const int64_t count : {1, 2, 4, 8}) {  // powers of two: edges are exact
    const Bins bins{.low = -1, .high = 1, .count = count};
    std::vector<int64_t> expected(static_cast<size_t>(count));
    for (const double value : values)
      for (int64_t bin = 0; bin < count; ++bin) {
        const double low = -1 + 2.0 * static_cast<double>(bin) / static_cast<double>(count);
        const double high = -1 + 2.0 * static_cast<double>(bin + 1) / static_cast<double>(count);
        const bool first = bin == 0, last = bin == count - 1;
        if ((value >= low || first) && (value < high || last)) ++expected[static_cast<size_t>(bin)];
      }
    EXPECT_EQ(histogram(bins, values), expected) << count;
  }
}

TEST(Histogram, LeavesOutWhatIsNotFinite) {
  EXPECT_EQ(histogram({.low = 0, .high = 1, .count = 2}, {kNaN, kInfinity, -kInfinity, 0.2}),
            (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(histogram({.low = 0, .high = 1, .count = 2}, {}), (std::vector<int64_t>{0, 0}));
}

TEST(Histogram, RefusesBinsThatAreNone) {
  for (const Bins& bins : {Bins{0, 0, 1}, Bins{1, 0, 1}, Bins{0, 1, 0}, Bins{kNaN, 1, 1}, Bins{0, kNaN, 1},
                           Bins{0, kInfinity, 1}})
    EXPECT_TRUE(error_message([&] { histogram(bins, {}); }).starts_with("histogram: expected low < high"));
}

TEST(Histogram, OutlinesHaveTheHeightsOfTheShares) {
  // 3 of 4 values in the first bin, 1 in the second; the other series has 1 and 1.
  const auto elements =
      parse(histogram_plot({.size = kPagePlot}, {.low = 0, .high = 2, .count = 2},
                           {{"<a>", {0.1, 0.2, 0.3, 1.5}}, {"b", {0.5, 1.5}}, {"none", {kNaN}}}));
  std::vector<std::string> outlines;
  for (const Element& e : elements)
    if (e.name == "path" && e.attributes.at("d").find('V') != std::string::npos)
      outlines.push_back(e.attributes.at("d"));
  ASSERT_EQ(outlines.size(), 2u);
  const auto ticks = y_ticks(elements);
  ASSERT_TRUE(ticks.contains(0) && ticks.contains(60));
  const double pixels = (ticks.at(0) - ticks.at(60)) / 60;  // of a percent
  // M x,base V first H edge V second H end V base z
  const auto heights = [&](const std::string& d) {
    std::vector<double> result;
    for (size_t at = d.find('V'); at != std::string::npos; at = d.find('V', at + 1))
      result.push_back((ticks.at(0) - std::stod(d.substr(at + 1))) / pixels);
    return result;
  };
  const std::vector<double> a = heights(outlines[0]), b = heights(outlines[1]);
  ASSERT_EQ(a.size(), 3u);
  for (const auto& [found, expected] :
       {std::pair{a[0], 75.0}, {a[1], 25.0}, {a[2], 0.0}, {b[0], 50.0}, {b[1], 50.0}})
    EXPECT_WITHIN(std::abs(found - expected), 0.02);
  EXPECT_TRUE(text(elements, "<a>") && text(elements, "b"));
  EXPECT_FALSE(text(elements, "none"));
  EXPECT_EQ(parse(histogram_plot({}, {}, {}))[0].name, "svg");
}

}  // namespace program_histogram_test
}  // namespace sotalign::app
