#include "plot/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

#include "plot/markup.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

// Markers and dashes distinguish nine series, also in print.
constexpr const char* kDashes[] = {"none", "9 5", "2 4"};
constexpr size_t kColours = 6;  // of series_colour()

/// A circle (0 points), a polygon, or a star with more corners between its points.
struct Marker {
  int points;
  double turn;       ///< of the first point, clockwise from the top, in turns
  double radius;     ///< of the points, in pixels; all markers have about the same area
  double inner = 0;  ///< radius of the corners between the points; 0: no such corners
};
constexpr Marker kMarkers[] = {{.points = 0, .turn = 0, .radius = 4.0},
                               {.points = 4, .turn = 1.0 / 8, .radius = 5.0},                // square
                               {.points = 3, .turn = 0, .radius = 5.8},                      // up
                               {.points = 4, .turn = 0, .radius = 5.4},                      // diamond
                               {.points = 3, .turn = 1.0 / 2, .radius = 5.8},                // down
                               {.points = 4, .turn = 0, .radius = 7.4, .inner = 2.4},        // plus
                               {.points = 4, .turn = 1.0 / 8, .radius = 7.4, .inner = 2.4},  // cross
                               {.points = 5, .turn = 0, .radius = 6.8, .inner = 2.8},        // star
                               {.points = 3, .turn = 1.0 / 4, .radius = 8.0, .inner = 2.2}};

double bar(const PlotSeries& s, size_t i) {
  return s.error.empty() || !std::isfinite(s.error[i]) ? 0 : std::max(0.0, s.error[i]);
}

/// The plot's marks. Made in two steps, because axes need the points, and the legend the axes.
class Drawing {
 public:
  Drawing(const PlotOptions& options, const std::vector<PlotSeries>& series)
      : options_(options),
        series_(series),
        frame_(options, Axis(options.x_scale, xs()), Axis(options.y_scale, ys())) {}

  std::string draw() {
    std::vector<Frame::LegendEntry> legend;
    for (size_t i = 0; i < series_.size(); ++i)
      legend.push_back({series_[i].name, [this, i](double x, double y) { key(i, x, y); }});
    frame_.begin(legend);
    for (const bool emphasized : {false, true})
      for (size_t i = 0; i < series_.size(); ++i)
        if (series_[i].emphasized == emphasized) points(i);
    return frame_.end();
  }

 private:
  bool shown(const PlotSeries& s, size_t i) const {
    return std::isfinite(s.x[i]) && std::isfinite(s.y[i]) &&
           (options_.y_scale == PlotScale::kLinear || s.y[i] > 0);
  }

  /// What the axes have to fit: points, error bars and given ticks.
  std::vector<double> xs() const {
    std::vector<double> x;
    for (const PlotSeries& s : series_)
      for (size_t i = 0; i < s.x.size(); ++i) {
        if (!shown(s, i)) continue;
        if (options_.x_scale == PlotScale::kLog && s.x[i] <= 0)
          throw InvalidArgument(fmt::format(
              "series '{}': expected numbers > 0 on a logarithmic axis, found {}", s.name, s.x[i]));
        x.push_back(s.x[i]);
      }
    for (const PlotTick& tick : options_.x_ticks) x.push_back(tick.x);
    return x;
  }
  std::vector<double> ys() const {
    std::vector<double> y;
    for (const PlotSeries& s : series_)
      for (size_t i = 0; i < s.x.size(); ++i)
        if (shown(s, i)) y.insert(y.end(), {s.y[i] - bar(s, i), s.y[i] + bar(s, i)});
    return y;
  }

  /// The attributes of a line. Two series with the same colour have different dashes.
  std::string stroke(size_t i) const {
    if (series_[i].emphasized) return fmt::format(R"(stroke="{}" stroke-width="4")", series_colour(i));
    return fmt::format(R"(stroke="{}" stroke-width="2" stroke-dasharray="{}")", series_colour(i),
                       kDashes[(i + i / kColours) % std::size(kDashes)]);
  }

  void key(size_t i, double x, double y) {
    if (series_[i].joined) frame_.add(R"(<path d="M{:.2f},{:.2f}h34" {}/>)", x, y, stroke(i));
    if (series_[i].marked) marker(i, x + 17, y, series_[i].name);
  }

  /// `title` is the tooltip in a browser.
  void marker(size_t i, double x, double y, const std::string& title) {
    const Marker& shape = kMarkers[i % std::size(kMarkers)];
    const double size = series_[i].emphasized ? 1.4 : 1;
    if (shape.points == 0) {
      frame_.add(R"(<circle cx="{:.2f}" cy="{:.2f}" r="{}" fill="{}"><title>{}</title></circle>)", x, y,
                 size * shape.radius, series_colour(i), escaped(title));
      return;
    }
    std::string path;
    const int every = shape.inner > 0 ? 2 : 1, corners = every * shape.points;
    for (int k = 0; k < corners; ++k) {
      const double angle = 2 * std::numbers::pi * (shape.turn + static_cast<double>(k) / corners);
      const double radius = size * (k % every == 0 ? shape.radius : shape.inner);
      path += fmt::format("{}{:.2f},{:.2f}", path.empty() ? "" : " ", x + radius * std::sin(angle),
                          y - radius * std::cos(angle));
    }
    frame_.add(R"(<polygon points="{}" fill="{}"><title>{}</title></polygon>)", path, series_colour(i),
               escaped(title));
  }

  std::string x_text(double x) const {
    for (const PlotTick& tick : options_.x_ticks)
      if (tick.x == x) return tick.label;
    return short_number(x);
  }

  void points(size_t i) {
    const PlotSeries& s = series_[i];
    std::string line;
    for (size_t p = 0; p < s.x.size(); ++p)
      if (shown(s, p))
        line +=
            fmt::format("{}{:.2f},{:.2f}", line.empty() ? "" : " ", frame_.x_at(s.x[p]), frame_.y_at(s.y[p]));
    if (s.joined)
      frame_.add(R"(<polyline points="{}" fill="none" {} stroke-linejoin="round"/>)", line, stroke(i));
    if (!s.marked) return;
    for (size_t p = 0; p < s.x.size(); ++p) {
      if (!shown(s, p)) continue;
      const double x = frame_.x_at(s.x[p]), y = frame_.y_at(s.y[p]);
      std::string title = fmt::format("{}: {:.4g}", x_text(s.x[p]), s.y[p]);
      if (!s.name.empty()) title.insert(0, s.name + ", ");
      if (bar(s, p) > 0) {
        title += fmt::format(" +- {:.2g}", bar(s, p));
        frame_.add(
            R"(<path d="M{:.2f},{:.2f}h8m-4,0V{:.2f}m-4,0h8" fill="none" stroke="{}" stroke-width="1.5"/>)",
            x - 4, frame_.y_at(s.y[p] + bar(s, p)), frame_.y_at(s.y[p] - bar(s, p)), series_colour(i));
      }
      marker(i, x, y, title);
    }
  }

  const PlotOptions& options_;
  const std::vector<PlotSeries>& series_;
  Frame frame_;
};

void check(const PlotOptions& options, const std::vector<PlotSeries>& series) {
  for (const PlotSeries& s : series) {
    if (s.y.size() != s.x.size() || (!s.error.empty() && s.error.size() != s.x.size()))
      throw InvalidArgument(fmt::format("series '{}': expected as many y and error as x, found {}, {} and {}",
                                        s.name, s.y.size(), s.error.size(), s.x.size()));
    if (options.y_scale == PlotScale::kLog && !s.error.empty())
      throw InvalidArgument(
          fmt::format("series '{}': expected no error bars on a logarithmic y axis, found some", s.name));
  }
}

}  // namespace

std::string line_plot(const PlotOptions& options, const std::vector<PlotSeries>& series) {
  check(options, series);
  return Drawing(options, series).draw();
}

}  // namespace sotalign::app
