#include "plot/scatter.h"

#include <cmath>

#include "plot/markup.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

bool finite(double x, double y) { return std::isfinite(x) && std::isfinite(y); }
bool finite(const ScatterLine& line) { return finite(line.x1, line.y1) && finite(line.x2, line.y2); }

/// A circle for the first series, a square for the second, and so on.
std::string marker(size_t series, double x, double y) {
  const std::string fill = fmt::format(R"(fill="{}" fill-opacity="0.75")", series_colour(series));
  if (series % 2 == 0) return fmt::format(R"(<circle cx="{:.2f}" cy="{:.2f}" r="2.6" {}>)", x, y, fill);
  return fmt::format(R"(<rect x="{:.2f}" y="{:.2f}" width="4.6" height="4.6" {}>)", x - 2.3, y - 2.3, fill);
}

}  // namespace

std::string scatter_plot(const PlotOptions& options, const std::vector<ScatterSeries>& series,
                         const std::vector<ScatterLine>& lines, const std::string& lines_name) {
  std::vector<double> xs, ys;
  for (const ScatterSeries& s : series) {
    if (s.y.size() != s.x.size() || (!s.titles.empty() && s.titles.size() != s.x.size()))
      throw InvalidArgument(
          fmt::format("series '{}': expected as many y and titles as x, found {}, {} and {}", s.name,
                      s.y.size(), s.titles.size(), s.x.size()));
    for (size_t p = 0; p < s.x.size(); ++p)
      if (finite(s.x[p], s.y[p])) xs.push_back(s.x[p]), ys.push_back(s.y[p]);
  }
  for (const ScatterLine& line : lines)
    if (finite(line)) xs.insert(xs.end(), {line.x1, line.x2}), ys.insert(ys.end(), {line.y1, line.y2});

  Frame frame(options, Axis(PlotScale::kLinear, xs), Axis(PlotScale::kLinear, ys));
  const std::string stroke = fmt::format(R"(stroke="{}" stroke-width="1.2" stroke-opacity="0.8")", kInk);
  std::vector<Frame::LegendEntry> legend;
  for (size_t i = 0; i < series.size(); ++i)
    legend.push_back({series[i].name, [&, i](double x, double y) {
                        const bool round = i % 2 == 0;
                        frame.add("{}<title>{}</title></{}>", marker(i, x + 26, y), escaped(series[i].name),
                                  round ? "circle" : "rect");
                      }});
  if (!lines.empty())
    legend.push_back({lines_name, [&](double x, double y) {
                        frame.add(R"(<path d="M{:.2f},{:.2f}h34" {}/>)", x, y, stroke);
                      }});
  frame.begin(legend);
  for (const ScatterLine& line : lines)
    if (finite(line))
      frame.add(R"(<path d="M{:.2f},{:.2f}L{:.2f},{:.2f}" {}/>)", frame.x_at(line.x1), frame.y_at(line.y1),
                frame.x_at(line.x2), frame.y_at(line.y2), stroke);
  for (size_t i = 0; i < series.size(); ++i) {
    const ScatterSeries& s = series[i];
    for (size_t p = 0; p < s.x.size(); ++p) {
      if (!finite(s.x[p], s.y[p])) continue;
      const std::string title =
          s.titles.empty() ? "" : fmt::format("<title>{}</title>", escaped(s.titles[p]));
      frame.add("{}{}</{}>", marker(i, frame.x_at(s.x[p]), frame.y_at(s.y[p])), title,
                i % 2 == 0 ? "circle" : "rect");
    }
  }
  return frame.end();
}

}  // namespace sotalign::app
