// Scatter plots as SVG.
#pragma once

#include <string>
#include <vector>

#include "plot/frame.h"

namespace sotalign::app {

/// Points; `titles`, their tooltips, is empty or has one for each.
struct ScatterSeries {
  std::string name;
  std::vector<double> x = {}, y = {};
  std::vector<std::string> titles = {};
};

/// Joins two points by a line.
struct ScatterLine {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

/// A complete SVG document, as of line_plot(): small markers, a different one for each of the first two
/// series, on top of the lines. What is not finite is left out. Throws InvalidArgument for series whose
/// vectors differ in length. `lines_name`: in the legend; empty: none.
std::string scatter_plot(const PlotOptions& options, const std::vector<ScatterSeries>& series,
                         const std::vector<ScatterLine>& lines = {}, const std::string& lines_name = {});

}  // namespace sotalign::app
