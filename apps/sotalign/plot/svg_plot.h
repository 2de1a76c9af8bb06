// Line plots as SVG files, without a plotting library: what sweeps and studies draw.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// Points in the order of x. Where `error` is not empty, it has one entry for each point: half the length of
/// a vertical bar.
struct PlotSeries {
  std::string name = {};
  std::vector<double> x = {}, y = {}, error = {};
  bool joined = true;  ///< by a line
};

enum class PlotScale { kLinear, kLog };

struct PlotTick {
  double x = 0;
  std::string label;
};

struct PlotOptions {
  std::string title = {}, x_label = {}, y_label = {};
  PlotScale x_scale = PlotScale::kLinear;  ///< logarithmic: every x is positive
  std::vector<PlotTick> x_ticks = {};      ///< none: round numbers
};

/// A complete SVG document, readable on light and on dark ground: lines with a marker at each point, axes
/// with round numbers, a legend of the series that have names. Points that are not finite are left out, and
/// so are bars. Throws InvalidArgument for series whose vectors differ in length and for an x that a
/// logarithmic axis cannot show.
std::string line_plot(const PlotOptions& options, const std::vector<PlotSeries>& series);

}  // namespace sotalign::app
