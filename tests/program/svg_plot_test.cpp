// Plots: well-formed documents whose marks are in the right places.
#include "apps/sotalign/plot/svg_plot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "support/compare.h"
#include "support/error_message.h"
#include "support/svg.h"
#include "support/temporary_directory.h"

namespace sotalign::app {
namespace program_svg_plot_test {

using namespace sotalign::testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Centres of the circles, the markers of the first series, without the legend's circle.
struct Point {
  double x, y;
};
std::vector<Point> circles(const std::vector<Element>& elements, bool legend = false) {
  std::vector<Point> points;
  for (const Element& e : elements)
    if (e.name == "circle") points.push_back({e.number("cx"), e.number("cy")});
  if (legend) points.erase(points.begin());
  return points;
}

TEST(SvgPlot, PointsLieWhereTheTicksSay) {
  const auto elements = parse(
      line_plot({.title = "t", .x_label = "x", .y_label = "y"}, {{.x = {0, 10, 40}, .y = {20, 60, 40}}}));
  const std::vector<Point> points = circles(elements);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_WITHIN(std::abs((points[1].x - points[0].x) * 4 - (points[2].x - points[0].x)), 0.03);
  EXPECT_LT(points[1].y, points[2].y);  // up is more
  EXPECT_LT(points[2].y, points[0].y);
  const auto x = x_ticks(elements), y = y_ticks(elements);
  ASSERT_TRUE(x.contains(0) && x.contains(10) && x.contains(40));
  ASSERT_TRUE(y.contains(20) && y.contains(40) && y.contains(60));
  for (const auto& [value, point] : {std::pair{0.0, points[0]}, {10.0, points[1]}, {40.0, points[2]}})
    EXPECT_WITHIN(std::abs(x.at(value) - point.x), 0.011);
  for (const auto& [value, point] : {std::pair{20.0, points[0]}, {60.0, points[1]}, {40.0, points[2]}})
    EXPECT_WITHIN(std::abs(y.at(value) - point.y), 0.011);
  EXPECT_EQ(count(elements, "polyline"), 1u);
  EXPECT_TRUE(elements[0].attributes.contains("viewBox"));
  for (const char* words : {"t", "x", "y"}) EXPECT_TRUE(text(elements, words)) << words;
}

TEST(SvgPlot, LogarithmicAxisHasPowersOfTen) {
  const auto elements =
      parse(line_plot({.x_scale = PlotScale::kLog}, {{.x = {1, 10, 10000}, .y = {1, 2, 3}}}));
  const std::vector<Point> points = circles(elements);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_WITHIN(std::abs((points[1].x - points[0].x) * 4 - (points[2].x - points[0].x)), 0.05);
  const auto x = x_ticks(elements);
  ASSERT_EQ(x.size(), 5u);
  for (const double value : {1.0, 10.0, 100.0, 1000.0, 10000.0}) EXPECT_TRUE(x.contains(value)) << value;
  EXPECT_WITHIN(std::abs(x.at(10) - points[1].x), 0.011);
  // A range without two powers of ten gets other round numbers.
  const auto near = x_ticks(parse(line_plot({.x_scale = PlotScale::kLog}, {{.x = {0.3, 0.9}, .y = {1, 2}}})));
  EXPECT_GE(near.size(), 3u);
}

TEST(SvgPlot, TicksAreFewRoundAndInside) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{{0, 1},
                                                                        {0, 100},
                                                                        {-3, 7},
                                                                        {36.2, 36.4},
                                                                        {1e-7, 3e-7},
                                                                        {0, 123456789},
                                                                        {5, 5},
                                                                        {0, 0},
                                                                        {-1e-3, 0}}) {
    SCOPED_TRACE(low);
    for (const PlotScale scale : {PlotScale::kLinear, PlotScale::kLog}) {
      if (scale == PlotScale::kLog && low <= 0) continue;
      const auto elements = parse(line_plot({.x_scale = scale}, {{.x = {low, high}, .y = {low, high}}}));
      for (const auto& ticks : {x_ticks(elements), y_ticks(elements)}) {
        EXPECT_GE(ticks.size(), 2u);
        EXPECT_LE(ticks.size(), 10u);
        for (const auto& [value, pixel] : ticks) {
          EXPECT_TRUE(pixel >= 0 && pixel <= 720) << pixel;
          EXPECT_LE(value, high + 0.11 * (high - low) + 0.2 * std::abs(high) + 1e-3);
        }
      }
    }
  }
  EXPECT_TRUE(x_ticks(parse(line_plot({}, {{.x = {0, 3e-6}, .y = {0, 1}}}))).contains(1e-6));
}

TEST(SvgPlot, OwnTicksReplaceRoundNumbers) {
  const auto elements =
      parse(line_plot({.x_ticks = {{0, "klot"}, {1, "cka"}}}, {{.x = {0, 1}, .y = {1, 2}}}));
  EXPECT_TRUE(x_ticks(elements).empty());
  const std::vector<Point> points = circles(elements);
  EXPECT_WITHIN(std::abs(text(elements, "klot")->number("x") - points[0].x), 0.011);
  EXPECT_WITHIN(std::abs(text(elements, "cka")->number("x") - points[1].x), 0.011);
}

TEST(SvgPlot, ErrorBarsReachTheirEnds) {
  const auto elements = parse(line_plot({}, {{.x = {0, 1, 2}, .y = {20, 40, 60}, .error = {20, 0, kNaN}}}));
  std::vector<std::string> bars;
  for (const Element& e : elements)
    if (e.name == "path" && e.attributes.at("d").find("h8") != std::string::npos)
      bars.push_back(e.attributes.at("d"));
  ASSERT_EQ(bars.size(), 1u);
  const auto y = y_ticks(elements);
  ASSERT_TRUE(y.contains(0) && y.contains(40));
  EXPECT_WITHIN(std::abs(std::stod(bars[0].substr(bars[0].find(',') + 1)) - y.at(40)), 0.011);
  EXPECT_WITHIN(std::abs(std::stod(bars[0].substr(bars[0].find('V') + 1)) - y.at(0)), 0.011);
  EXPECT_EQ(circles(elements).size(), 3u);
}

TEST(SvgPlot, PointsThatAreNotFiniteAreLeftOut) {
  const auto elements = parse(line_plot({}, {{.x = {0, kNaN, 1, 2, 3}, .y = {1, 2, kInfinity, kNaN, 4}}}));
  EXPECT_EQ(circles(elements).size(), 2u);
  EXPECT_EQ(line_plot({}, {{.x = {0, 3}, .y = {1, 4}}}),
            line_plot({}, {{.x = {0, kNaN, 3}, .y = {1, 2, 4}}}));
  const std::string nothing = line_plot({}, {{.name = "n", .x = {kNaN}, .y = {1}}});
  EXPECT_EQ(nothing.find("nan"), std::string::npos);
  EXPECT_EQ(parse(nothing)[0].name, "svg");
  EXPECT_EQ(parse(line_plot({}, {}))[0].name, "svg");
}

TEST(SvgPlot, LegendNamesSeriesAndEscapesThem) {
  const std::string name = "<a & \"b\"> 'c'\n\x01";
  const std::string svg = line_plot({.title = name, .x_label = name, .y_label = name},
                                    {{.name = name, .x = {0, 1}, .y = {1, 2}},
                                     {.name = "second", .x = {0, 1}, .y = {2, 3}},
                                     {.name = "loose", .x = {0, 1}, .y = {3, 3}, .joined = false}});
  const auto elements = parse(svg);
  const auto first = text(elements, "<a & \"b\"> 'c'  "), second = text(elements, "second");
  ASSERT_TRUE(first && second);
  EXPECT_LT(first->number("x"), second->number("x"));
  EXPECT_EQ(circles(elements).size(), 3u);  // the first series' markers, including one in the legend
  EXPECT_EQ(count(elements, "polyline"), 2u);
  EXPECT_EQ(svg.find("http", 60), std::string::npos);  // no external resources
}

TEST(SvgPlot, LongLegendsTakeMoreRows) {
  std::vector<PlotSeries> series;
  series.reserve(12);
  for (int i = 0; i < 12; ++i)
    series.push_back({.name = "a rather long name " + std::to_string(i), .x = {0, 1}, .y = {1.0 * i, 2}});
  const auto elements = parse(line_plot({.title = "t", .y_label = "y"}, series));
  for (const Element& e : elements)
    if (e.name == "text") {
      EXPECT_TRUE(e.number("x") >= 0 && e.number("x") < 720 && e.number("y") < 432) << e.text;
    }
  EXPECT_LT(text(elements, series[0].name)->number("y"), text(elements, series[11].name)->number("y"));
}

/// Colours in linear light, as a reader with full sight or with one of three colour blindnesses sees them
/// (Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
/// deficiency", 2009, severity 1).
using Triple = std::array<double, 3>;
const std::array<std::array<Triple, 3>, 4> kSights = {
    {{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
     {{{.152286, 1.052583, -.204868}, {.114503, .786281, .099216}, {-.003882, -.048116, 1.051998}}},
     {{{.367322, .860646, -.227968}, {.280085, .672501, .047413}, {-.011820, .042940, .968881}}},
     {{{1.255528, -.076749, -.178779}, {-.078411, .930809, .147602}, {.004733, .691367, .303900}}}}};

Triple linear_light(const std::string& hex) {
  Triple result;
  for (size_t c = 0; c < 3; ++c) {
    const double value = std::stoi(hex.substr(1 + 2 * c, 2), nullptr, 16) / 255.0;
    result[c] = value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
  }
  return result;
}
double luminance(const Triple& c) { return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; }

/// CIELAB.
Triple lab(const Triple& linear, const std::array<Triple, 3>& sight) {
  Triple seen{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) seen[i] += sight[i][j] * linear[j];
    seen[i] = std::clamp(seen[i], 0.0, 1.0);
  }
  const auto f = [](double t) { return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16 / 116.0; };
  const double x = f((0.4124 * seen[0] + 0.3576 * seen[1] + 0.1805 * seen[2]) / 0.95047),
               y = f(luminance(seen)),
               z = f((0.0193 * seen[0] + 0.1192 * seen[1] + 0.9505 * seen[2]) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

/// A marker without its place: "circle", or the corners relative to the first.
std::string marker_shape(const Element& e) {
  if (e.name == "circle") return "circle";
  std::string shape;
  double x0 = NAN, y0 = NAN;
  std::istringstream corners(e.attributes.at("points"));
  for (std::string corner; corners >> corner;) {
    const double x = std::stod(corner), y = std::stod(corner.substr(corner.find(',') + 1));
    if (std::isnan(x0)) x0 = x, y0 = y;
    shape += std::to_string(std::lround(x - x0)) + "," + std::to_string(std::lround(y - y0)) + " ";
  }
  return shape;
}

TEST(SvgPlot, NineSeriesHaveNineStyles) {
  std::vector<PlotSeries> series;
  series.reserve(9);
  for (int i = 0; i < 9; ++i) series.push_back({.name = std::to_string(i), .x = {0, 1}, .y = {1.0 * i, 2}});
  std::set<std::string> markers, styles, colours;
  for (const Element& e : parse(line_plot({}, series))) {
    if (e.name == "circle" || e.name == "polygon") markers.insert(marker_shape(e));
    if (e.name != "polyline") continue;
    colours.insert(e.attributes.at("stroke"));
    styles.insert(e.attributes.at("stroke") + e.attributes.at("stroke-dasharray"));
  }
  EXPECT_EQ(markers.size(), 9u);
  EXPECT_EQ(styles.size(), 9u);  // no two lines of the same colour have the same dashes
  ASSERT_EQ(colours.size(), 6u);
  for (const std::string& a : colours) {
    const double light = luminance(linear_light(a)), dark = luminance(linear_light("#0d1117"));
    EXPECT_GE(1.05 / (light + 0.05), 3) << a << " on white";
    EXPECT_GE((light + 0.05) / (dark + 0.05), 3) << a << " on black";
    for (const std::string& b : colours)
      for (size_t sight = 0; a < b && sight < kSights.size(); ++sight) {
        const Triple p = lab(linear_light(a), kSights[sight]), q = lab(linear_light(b), kSights[sight]);
        EXPECT_GE(std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]), 14) << a << ' ' << b << ' ' << sight;
      }
  }
}

TEST(SvgPlot, EmphasizedSeriesAreThickAndOnTop) {
  std::vector<PlotSeries> series = {{.name = "ours", .x = {0, 1}, .y = {1, 2}, .emphasized = true},
                                    {.name = "other", .x = {0, 1}, .y = {1, 2}}};
  std::vector<Element> lines;
  for (const Element& e : parse(line_plot({}, series)))
    if (e.name == "polyline") lines.push_back(e);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_GE(lines[1].number("stroke-width"), 2 * lines[0].number("stroke-width"));
  EXPECT_FALSE(lines[1].attributes.contains("stroke-dasharray"));
}

TEST(SvgPlot, LogarithmicHeightsHaveNoPointsBelowZero) {
  const auto elements =
      parse(line_plot({.y_scale = PlotScale::kLog}, {{.x = {0, 1, 2, 3}, .y = {0.001, 0, -1, 10}}}));
  const std::vector<Point> points = circles(elements);
  ASSERT_EQ(points.size(), 2u);
  const auto ticks = y_ticks(elements);
  ASSERT_TRUE(ticks.contains(0.001) && ticks.contains(0.1) && ticks.contains(10));
  EXPECT_WITHIN(std::abs(points[0].y - ticks.at(0.001)), 0.011);
  EXPECT_WITHIN(std::abs(points[1].y - ticks.at(10)), 0.011);
  EXPECT_WITHIN(std::abs(ticks.at(0.1) - (ticks.at(0.001) + ticks.at(10)) / 2), 0.011);
  EXPECT_EQ(parse(line_plot({.y_scale = PlotScale::kLog}, {{.x = {0}, .y = {0}}}))[0].name, "svg");
}

TEST(SvgPlot, SeriesWithoutMarkersAreLines) {
  const auto elements = parse(line_plot({}, {{.name = "a", .x = {0, 1}, .y = {1, 2}, .marked = false}}));
  EXPECT_EQ(count(elements, "circle"), 0u);
  EXPECT_EQ(count(elements, "polyline"), 1u);
  EXPECT_TRUE(text(elements, "a"));
}

TEST(SvgPlot, PlotsForPagesGrowWithTheirLegends) {
  std::vector<PlotSeries> series;
  series.reserve(6);
  for (int i = 0; i < 6; ++i)
    series.push_back({.name = "a name of some length " + std::to_string(i), .x = {0, 1}, .y = {1.0 * i, 2}});
  const auto height = [&](size_t names, const PlotSize& size) {
    return parse(
               line_plot({.size = size}, {series.begin(), series.begin() + static_cast<ptrdiff_t>(names)}))[0]
        .number("height");
  };
  EXPECT_EQ(height(1, kPagePlot), kPagePlot.height);
  EXPECT_GT(height(6, kPagePlot), height(2, kPagePlot));
  EXPECT_EQ(height(6, {}), PlotSize{}.height);
  const auto elements = parse(line_plot({.title = "t", .size = kPagePlot, .draws_title = false}, series));
  EXPECT_FALSE(text(elements, "t"));
  EXPECT_EQ(elements[1].name + elements[1].text, "titlet");  // for screen readers
  for (const Element& e : elements)
    if (e.name == "text") {
      EXPECT_TRUE(e.number("x") < 420 && e.number("y") < elements[0].number("height")) << e.text;
    }
}

TEST(SvgPlot, RefusesWhatItCannotDraw) {
  EXPECT_EQ(error_message([] {
              line_plot({}, {{.name = "s", .x = {0, 1}, .y = {1}}});
            }),
            "series 's': expected as many y and error as x, found 1, 0 and 2");
  EXPECT_EQ(error_message([] {
              line_plot({}, {{.name = "s", .x = {0, 1}, .y = {1, 2}, .error = {1}}});
            }),
            "series 's': expected as many y and error as x, found 2, 1 and 2");
  EXPECT_EQ(error_message([] {
              line_plot({.x_scale = PlotScale::kLog}, {{.name = "s", .x = {0, 1}, .y = {1, 2}}});
            }),
            "series 's': expected numbers > 0 on a logarithmic axis, found 0");
  EXPECT_EQ(error_message([] {
              line_plot({.y_scale = PlotScale::kLog}, {{.name = "s", .x = {1}, .y = {1}, .error = {1}}});
            }),
            "series 's': expected no error bars on a logarithmic y axis, found some");
}

}  // namespace program_svg_plot_test
}  // namespace sotalign::app
