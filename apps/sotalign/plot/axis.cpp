#include "plot/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sotalign::app {

namespace {

std::vector<PlotTick> linear_ticks(double low, double high) {
  const double raw = (high - low) / 6, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0})
    if (raw <= factor * power) step = factor * power;
  // All labels of an axis have the same number of decimals.
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step * 1.0001))));
  const bool plain = decimals <= 5 && std::max(std::abs(low), std::abs(high)) < 1e6;
  std::vector<PlotTick> ticks;
  for (double k = std::ceil(low / step); k <= std::floor(high / step); ++k) {
    const double value = k * step + 0.0;  // no -0
    ticks.push_back({value, plain ? fmt::format("{:.{}f}", value, decimals) : short_number(value)});
  }
  return ticks;
}

}  // namespace

std::string short_number(double value) {
  std::string text = fmt::format("{:.6g}", value);
  const size_t zero = text.find_last_of("+-");
  if (text.find('e') == std::string::npos) return text;
  return text.substr(0, text[zero] == '+' ? zero : zero + 1) +
         text.substr(text[zero + 1] == '0' ? zero + 2 : zero + 1);
}

Axis::Axis(PlotScale scale, std::vector<double> values) : scale_(scale) {
  if (values.empty()) values = {1};
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  low_ = position(*least), high_ = position(*greatest);
  const double pad = high_ > low_ ? 0.05 * (high_ - low_) : std::max(0.1 * std::abs(low_), 1e-3);
  low_ -= pad, high_ += pad;
}

Axis Axis::between(double low, double high) {
  Axis axis(PlotScale::kLinear, {});
  axis.low_ = low, axis.high_ = high;
  return axis;
}

std::vector<PlotTick> Axis::ticks() const {
  if (scale_ == PlotScale::kLinear) return linear_ticks(low_, high_);
  for (const std::vector<double>& factors :
       std::vector<std::vector<double>>{{1.0}, {1.0, 3.0}, {1.0, 2.0, 5.0}}) {
    std::vector<PlotTick> ticks = log_ticks(factors);
    if (ticks.size() >= 4) return ticks;
  }
  return linear_ticks(std::pow(10, low_), std::pow(10, high_));
}

double Axis::position(double value) const { return scale_ == PlotScale::kLog ? std::log10(value) : value; }

std::vector<PlotTick> Axis::log_ticks(const std::vector<double>& factors) const {
  const auto first = static_cast<int>(std::floor(low_)), last = static_cast<int>(std::ceil(high_));
  const int every = factors.size() == 1 ? 1 + (last - first) / 9 : 1;
  std::vector<PlotTick> ticks;
  for (int decade = first; decade <= last; ++decade) {
    if (decade % every != 0) continue;
    for (const double factor : factors) {
      const double value = factor * std::pow(10, decade), at = std::log10(value);
      if (at >= low_ && at <= high_) ticks.push_back({value, short_number(value)});
    }
  }
  return ticks;
}

}  // namespace sotalign::app
