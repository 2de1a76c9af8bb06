// Scatter plots: points and lines where the axes say.
#include "apps/sotalign/plot/scatter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/compare.h"
#include "support/error_message.h"
#include "support/svg.h"

namespace sotalign::app {
namespace program_scatter_test {

using namespace sotalign::testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Scatter, PointsAndLinesLieWhereTheTicksSay) {
  const auto elements = parse(scatter_plot(
      {.size = kPagePlot}, {{"images", {0, 10}, {0, 5}, {"<one>", "two"}}, {"texts", {10, kNaN}, {0, 1}}},
      {{0, 0, 10, 5}, {0, 0, kNaN, 1}}, "pairs"));
  const auto x = x_ticks(elements), y = y_ticks(elements);
  ASSERT_TRUE(x.contains(0) && x.contains(10) && y.contains(0) && y.contains(5));
  std::vector<Element> circles, squares, lines;
  for (const Element& e : elements) {
    if (e.name == "circle") circles.push_back(e);
    if (e.name == "rect") squares.push_back(e);
    if (e.name == "path" && e.attributes.at("d").find('L') != std::string::npos) lines.push_back(e);
  }
  ASSERT_EQ(circles.size(), 3u);  // with that of the legend
  ASSERT_EQ(squares.size(), 2u);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_WITHIN(std::abs(circles[1].number("cx") - x.at(0)), 0.011);
  EXPECT_WITHIN(std::abs(circles[1].number("cy") - y.at(0)), 0.011);
  EXPECT_WITHIN(std::abs(circles[2].number("cx") - x.at(10)), 0.011);
  EXPECT_WITHIN(std::abs(circles[2].number("cy") - y.at(5)), 0.011);
  EXPECT_WITHIN(std::abs(squares[1].number("x") + squares[1].number("width") / 2 - x.at(10)), 0.011);
  EXPECT_WITHIN(std::abs(squares[1].number("y") + squares[1].number("height") / 2 - y.at(0)), 0.011);
  const std::string d = lines[0].attributes.at("d");
  EXPECT_WITHIN(std::abs(std::stod(d.substr(1)) - x.at(0)), 0.011);
  EXPECT_WITHIN(std::abs(std::stod(d.substr(d.find('L') + 1)) - x.at(10)), 0.011);
  std::vector<std::string> titles;
  for (const Element& e : elements)
    if (e.name == "title") titles.push_back(e.text);
  EXPECT_EQ(titles, (std::vector<std::string>{"", "images", "texts", "<one>", "two"}));
  EXPECT_TRUE(text(elements, "pairs"));
}

TEST(Scatter, EmptyAndOddSeries) {
  EXPECT_EQ(parse(scatter_plot({}, {}))[0].name, "svg");
  EXPECT_EQ(parse(scatter_plot({}, {{"a", {0}, {0}}}))[0].name, "svg");
  EXPECT_EQ(error_message([] {
              scatter_plot({}, {{"s", {0, 1}, {1}}});
            }),
            "series 's': expected as many y and titles as x, found 1, 0 and 2");
  EXPECT_EQ(error_message([] {
              scatter_plot({}, {{"s", {0, 1}, {1, 2}, {"t"}}});
            }),
            "series 's': expected as many y and titles as x, found 2, 1 and 2");
}

}  // namespace program_scatter_test
}  // namespace sotalign::app
