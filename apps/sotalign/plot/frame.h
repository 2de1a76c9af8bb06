// What all plots share: the SVG document with its title, legend, axes and labels. Readable on light and dark
// backgrounds; a page may set the colour of text and axes by CSS.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "plot/axis.h"

namespace sotalign::app {

struct PlotSize {
  double width = 720, height = 432;  ///< in pixels
  bool grows = false;                ///< each row of the legend after the first adds to the height
};
/// For pages: at this size, labels stay readable on a phone.
inline constexpr PlotSize kPagePlot = {.width = 420, .height = 280, .grows = true};

struct PlotOptions {
  std::string title = {}, x_label = {}, y_label = {};
  PlotScale x_scale = PlotScale::kLinear;  ///< kLog: every x must be positive
  PlotScale y_scale = PlotScale::kLinear;  ///< kLog: points with y <= 0 are left out
  std::vector<PlotTick> x_ticks = {};      ///< empty: round numbers
  PlotSize size = {};
  bool draws_title = true;  ///< false: the title is only for screen readers
};

/// Of axes and labels. Its contrast ratio is above 4 against white and against the darkest backgrounds in
/// use.
inline constexpr const char* kInk = "#737d8a";

/// The colours of series, in order and repeated. Each has a contrast ratio of at least 3 against both
/// backgrounds. That leaves room for six that readers with any colour blindness can tell apart.
const char* series_colour(size_t series);

/// Estimated from the number of UTF-8 characters, since fonts differ.
double text_width(const std::string& text);

class Frame {
 public:
  /// Draws a key of 34 pixels that begins at (x, y).
  using Key = std::function<void(double x, double y)>;
  struct LegendEntry {
    std::string name;  ///< empty: no entry
    Key key;
  };

  Frame(const PlotOptions& options, const Axis& x, const Axis& y) : options_(options), x_(x), y_(y) {}

  /// Draws everything but the marks. Before it, x_at() and y_at() have no meaning.
  void begin(const std::vector<LegendEntry>& legend);
  /// The document.
  std::string end();

  double x_at(double value) const { return x_.pixel(value, left_, right()); }
  double y_at(double value) const { return y_.pixel(value, bottom_, top_); }

  template <class... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<Values>(values)...);
    svg_ += '\n';
  }
  /// Escapes `words`; the attributes are written as they are.
  void text(double x, double y, const std::string& words, const std::string& attributes = "");

 private:
  double right() const { return options_.size.width - 28; }
  /// Calls `place` with each named entry, its x, and its row.
  template <class Place>
  void each_entry(const std::vector<LegendEntry>& legend, Place&& place) const;
  void draw_legend(const std::vector<LegendEntry>& legend);
  void draw_axes();

  const PlotOptions& options_;
  Axis x_, y_;
  double left_ = 40, top_ = 0, bottom_ = 0;
  std::string svg_;
};

}  // namespace sotalign::app
