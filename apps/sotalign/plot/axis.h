// An axis of a plot: where numbers lie on it, and the round numbers to label.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

enum class PlotScale { kLinear, kLog };

struct PlotTick {
  double x = 0;
  std::string label;
};

/// "0.0001", "1e-5"
std::string short_number(double value);

class Axis {
 public:
  /// Fits finite values, with 5 % of the range as margin at each end. On a logarithmic axis they are
  /// positive.
  Axis(PlotScale scale, std::vector<double> values);
  /// A linear axis from `low` to a higher `high`, without margins.
  static Axis between(double low, double high);

  /// Where `value` lies, if the axis begins at pixel `from` and ends at pixel `to`.
  double pixel(double value, double from, double to) const {
    return from + (position(value) - low_) / (high_ - low_) * (to - from);
  }

  /// Round numbers: at least two, about five.
  std::vector<PlotTick> ticks() const;

 private:
  double position(double value) const;
  std::vector<PlotTick> log_ticks(const std::vector<double>& factors) const;

  PlotScale scale_;
  double low_ = 0, high_ = 0;
};

}  // namespace sotalign::app
