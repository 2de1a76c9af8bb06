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

constexpr double kWidth = 720, kHeight = 432, kRight = kWidth - 28, kBottom = kHeight - 58;
constexpr double kFontSize = 13, kCharacter = 0.56 * kFontSize;  // fonts differ: widths are estimates
constexpr double kLegendRow = 22, kLegendKey = 42, kLegendGap = 24;

// The background is transparent. Every colour has a contrast ratio of at least 3 against white and against
// the darkest backgrounds in use; for text it is above 4. That leaves room for six colours that readers with
// any colour blindness can tell apart; markers and dashes distinguish nine series, also in print.
constexpr const char* kInk = "#737d8a";
constexpr const char* kColours[] = {"#1a7ec2", "#d55e00", "#009e73", "#dd0044", "#aa55ff", "#776688"};
constexpr const char* kDashes[] = {"none", "9 5", "2 4"};

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

/// Estimated from the number of UTF-8 characters: counts the bytes that begin one.
double text_width(const std::string& text) {
  return kCharacter * static_cast<double>(std::count_if(text.begin(), text.end(), [](char c) {
           return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
         }));
}

/// "0.0001", "1e-5"
std::string short_number(double value) {
  std::string text = fmt::format("{:.6g}", value);
  const size_t zero = text.find_last_of("+-");
  if (text.find('e') == std::string::npos) return text;
  return text.substr(0, text[zero] == '+' ? zero : zero + 1) +
         text.substr(text[zero + 1] == '0' ? zero + 2 : zero + 1);
}

class Axis {
 public:
  Axis(PlotScale scale, std::vector<double> values) : scale_(scale) {
    if (values.empty()) values = {1};
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    low_ = position(*least), high_ = position(*greatest);
    const double pad = high_ > low_ ? 0.05 * (high_ - low_) : std::max(0.1 * std::abs(low_), 1e-3);
    low_ -= pad, high_ += pad;
  }

  double pixel(double value, double from, double to) const {
    return from + (position(value) - low_) / (high_ - low_) * (to - from);
  }

  /// Round numbers: at least two, about five.
  std::vector<PlotTick> ticks() const {
    if (scale_ == PlotScale::kLinear) return linear_ticks(low_, high_);
    for (const std::vector<double>& factors :
         std::vector<std::vector<double>>{{1.0}, {1.0, 3.0}, {1.0, 2.0, 5.0}}) {
      std::vector<PlotTick> ticks = log_ticks(factors);
      if (ticks.size() >= 4) return ticks;
    }
    return linear_ticks(std::pow(10, low_), std::pow(10, high_));
  }

 private:
  double position(double value) const { return scale_ == PlotScale::kLog ? std::log10(value) : value; }

  static std::vector<PlotTick> linear_ticks(double low, double high) {
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

  std::vector<PlotTick> log_ticks(const std::vector<double>& factors) const {
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

  PlotScale scale_;
  double low_ = 0, high_ = 0;
};

bool shown(const PlotSeries& s, size_t i) { return std::isfinite(s.x[i]) && std::isfinite(s.y[i]); }
double bar(const PlotSeries& s, size_t i) {
  return s.error.empty() || !std::isfinite(s.error[i]) ? 0 : std::max(0.0, s.error[i]);
}

void check(const PlotOptions& options, const std::vector<PlotSeries>& series) {
  for (const PlotSeries& s : series) {
    if (s.y.size() != s.x.size() || (!s.error.empty() && s.error.size() != s.x.size()))
      throw InvalidArgument(fmt::format("series '{}': expected as many y and error as x, found {}, {} and {}",
                                        s.name, s.y.size(), s.error.size(), s.x.size()));
    for (size_t i = 0; i < s.x.size(); ++i)
      if (options.x_scale == PlotScale::kLog && shown(s, i) && s.x[i] <= 0)
        throw InvalidArgument(
            fmt::format("series '{}': expected numbers > 0 on a logarithmic axis, found {}", s.name, s.x[i]));
  }
}

/// The axes that fit the finite points, their error bars and the given ticks.
struct Axes {
  Axis x, y;
};

Axes axes_of(const PlotOptions& options, const std::vector<PlotSeries>& series) {
  std::vector<double> x, y;
  for (const PlotSeries& s : series)
    for (size_t i = 0; i < s.x.size(); ++i) {
      if (!shown(s, i)) continue;
      x.push_back(s.x[i]);
      y.insert(y.end(), {s.y[i] - bar(s, i), s.y[i] + bar(s, i)});
    }
  for (const PlotTick& tick : options.x_ticks) x.push_back(tick.x);
  return {Axis(options.x_scale, x), Axis(PlotScale::kLinear, y)};
}

class Drawing {
 public:
  Drawing(const PlotOptions& options, const std::vector<PlotSeries>& series)
      : options_(options), series_(series), axes_(axes_of(options, series)) {}

  std::string draw() {
    add(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}" role="img")"
        R"( font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="{}" fill="{}">)",
        kWidth, kHeight, kWidth, kHeight, kFontSize, kInk);
    add("<title>{}</title>", escaped(options_.title));
    for (const PlotTick& tick : axes_.y.ticks()) left_ = std::max(left_, 26 + text_width(tick.label));
    if (!options_.title.empty()) {
      top_ += 26;
      text(14, top_, options_.title, R"(font-size="16" font-weight="600")");
    }
    legend();
    top_ += 28;
    text(14, top_, options_.y_label);
    top_ += 16;
    axes();
    for (const bool emphasized : {false, true})
      for (size_t i = 0; i < series_.size(); ++i)
        if (series_[i].emphasized == emphasized) points(i);
    add("</svg>");
    return svg_;
  }

 private:
  template <class... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Values>(values)...);
    svg_ += '\n';
  }

  void text(double x, double y, const std::string& words, const std::string& attributes = "") {
    add(R"(<text x="{:.2f}" y="{:.2f}" {}>{}</text>)", x, y, attributes, escaped(words));
  }

  double x_at(double value) const { return axes_.x.pixel(value, left_, kRight); }
  double y_at(double value) const { return axes_.y.pixel(value, kBottom, top_); }
  static const char* colour(size_t i) { return kColours[i % std::size(kColours)]; }
  /// The attributes of a line. Two series with the same colour have different dashes.
  std::string stroke(size_t i) const {
    if (series_[i].emphasized) return fmt::format(R"(stroke="{}" stroke-width="4")", colour(i));
    return fmt::format(R"(stroke="{}" stroke-width="2" stroke-dasharray="{}")", colour(i),
                       kDashes[(i + i / std::size(kColours)) % std::size(kDashes)]);
  }

  /// `title` is the tooltip in a browser.
  void marker(size_t i, double x, double y, const std::string& title) {
    const Marker& shape = kMarkers[i % std::size(kMarkers)];
    const double size = series_[i].emphasized ? 1.4 : 1;
    if (shape.points == 0) {
      add(R"(<circle cx="{:.2f}" cy="{:.2f}" r="{}" fill="{}"><title>{}</title></circle>)", x, y,
          size * shape.radius, colour(i), escaped(title));
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
    add(R"(<polygon points="{}" fill="{}"><title>{}</title></polygon>)", path, colour(i), escaped(title));
  }

  void legend() {
    double x = 14;
    bool begun = false;
    for (size_t i = 0; i < series_.size(); ++i) {
      const std::string& name = series_[i].name;
      if (name.empty()) continue;
      const double width = kLegendKey + text_width(name);
      if (!begun || x + width > kRight) x = 14, top_ += begun ? kLegendRow : 28;
      begun = true;
      if (series_[i].joined) add(R"(<path d="M{:.2f},{:.2f}h34" {}/>)", x, top_ - 4, stroke(i));
      marker(i, x + 17, top_ - 4, name);
      text(x + kLegendKey, top_, name);
      x += width + kLegendGap;
    }
  }

  void axes() {
    for (const PlotTick& tick : axes_.y.ticks()) {
      const double y = y_at(tick.x);
      add(R"(<path d="M{:.2f},{:.2f}H{:.2f}" stroke="{}" stroke-opacity="0.25"/>)", left_, y, kRight, kInk);
      text(left_ - 8, y + 4.5, tick.label, R"(text-anchor="end")");
    }
    add(R"(<path d="M{:.2f},{:.2f}H{:.2f}" stroke="{}"/>)", left_, kBottom, kRight, kInk);
    for (const PlotTick& tick : options_.x_ticks.empty() ? axes_.x.ticks() : options_.x_ticks) {
      const double x = x_at(tick.x);
      add(R"(<path d="M{:.2f},{:.2f}v5" stroke="{}"/>)", x, kBottom, kInk);
      text(x, kBottom + 20, tick.label, R"(text-anchor="middle")");
    }
    text((left_ + kRight) / 2, kBottom + 44, options_.x_label, R"(text-anchor="middle")");
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
        line += fmt::format("{}{:.2f},{:.2f}", line.empty() ? "" : " ", x_at(s.x[p]), y_at(s.y[p]));
    if (s.joined) add(R"(<polyline points="{}" fill="none" {} stroke-linejoin="round"/>)", line, stroke(i));
    for (size_t p = 0; p < s.x.size(); ++p) {
      if (!shown(s, p)) continue;
      const double x = x_at(s.x[p]), y = y_at(s.y[p]);
      std::string title = fmt::format("{}: {:.4g}", x_text(s.x[p]), s.y[p]);
      if (!s.name.empty()) title.insert(0, s.name + ", ");
      if (bar(s, p) > 0) {
        title += fmt::format(" +- {:.2g}", bar(s, p));
        add(R"(<path d="M{:.2f},{:.2f}h8m-4,0V{:.2f}m-4,0h8" fill="none" stroke="{}" stroke-width="1.5"/>)",
            x - 4, y_at(s.y[p] + bar(s, p)), y_at(s.y[p] - bar(s, p)), colour(i));
      }
      marker(i, x, y, title);
    }
  }

  const PlotOptions& options_;
  const std::vector<PlotSeries>& series_;
  const Axes axes_;
  double left_ = 40, top_ = 0;
  std::string svg_;
};

}  // namespace

std::string line_plot(const PlotOptions& options, const std::vector<PlotSeries>& series) {
  check(options, series);
  return Drawing(options, series).draw();
}

}  // namespace sotalign::app
