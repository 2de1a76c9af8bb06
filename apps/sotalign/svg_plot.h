// Line plots as SVG files, without a plotting library: what sweeps and studies draw.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// Points in the order of x. Where `error` is not empty, it has one entry for each point: half the length of
/// a vertical bar.
struct PlotSeries {
  std::string name;
  std::vector<double> x, y, error = {};
};

enum class PlotScale { kLinear, kLog };

struct PlotOptions {
  std::string title, x_label, y_label;
  PlotScale x_scale = PlotScale::kLinear;  ///< logarithmic: every x is positive
};

/// A complete SVG document, readable on light and on dark ground: lines with a marker at each point, axes
/// with round numbers, a legend. Points that are not finite are left out. Throws InvalidArgument for series
/// whose vectors differ in length.
std::string line_plot(const PlotOptions& options, const std::vector<PlotSeries>& series);

}  // namespace sotalign::app
