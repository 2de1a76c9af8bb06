// Line plots as SVG for sweeps and studies, without a plotting library.
#pragma once

#include <string>
#include <vector>

#include "plot/frame.h"

namespace sotalign::app {

/// Points in the order of x. `error` is empty or has half the length of the error bar of each point.
struct PlotSeries {
  std::string name = {};
  std::vector<double> x = {}, y = {}, error = {};
  bool joined = true;       ///< connect the points by a line
  bool emphasized = false;  ///< draw it thick, without dashes, above the others
  bool marked = true;  ///< draw a marker at each point; without, points that are not joined are not drawn
};

/// A complete SVG document, readable on light and dark backgrounds: lines with a marker at each point, axes
/// with round numbers, and a legend of the named series. The first nine series have markers of their own; of
/// those that share a colour, one is dashed otherwise. Points and error bars that are not finite are left
/// out, and so are points with y <= 0 on a log axis. Throws InvalidArgument for series whose vectors differ
/// in length, for x <= 0 on a log axis, and for error bars on a logarithmic y axis.
std::string line_plot(const PlotOptions& options, const std::vector<PlotSeries>& series);

}  // namespace sotalign::app
