// Histograms as SVG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plot/frame.h"

namespace sotalign::app {

/// Bins of equal width between two numbers.
struct Bins {
  double low = 0, high = 1;  ///< low < high
  int64_t count = 1;         ///< at least 1
};

/// How many of the values are in each bin. A bin has its lower end, the last one both ends. Values outside go
/// to the nearest bin; those that are not finite are left out.
std::vector<int64_t> histogram(const Bins& bins, const std::vector<double>& values);

struct HistogramSeries {
  std::string name;
  std::vector<double> values;
};

/// A complete SVG document, as of line_plot(): for each series, the share of its values in each bin, in
/// percent, as a filled outline. A series without finite values is left out. Throws InvalidArgument for bins
/// that are not as described.
std::string histogram_plot(const PlotOptions& options, const Bins& bins,
                           const std::vector<HistogramSeries>& series);

}  // namespace sotalign::app
