#include "plot/frame.h"

#include <algorithm>
#include <iterator>

#include "plot/markup.h"

namespace sotalign::app {

namespace {

constexpr double kFontSize = 13, kCharacter = 0.56 * kFontSize;
constexpr double kLegendRow = 22, kLegendKey = 42, kLegendGap = 24, kFirstRow = 28, kMargin = 14;
constexpr const char* kColours[] = {"#1a7ec2", "#d55e00", "#009e73", "#dd0044", "#aa55ff", "#776688"};

}  // namespace

const char* series_colour(size_t series) { return kColours[series % std::size(kColours)]; }

double text_width(const std::string& text) {
  // Counts the bytes that begin a character.
  return kCharacter * static_cast<double>(std::count_if(text.begin(), text.end(), [](char c) {
           return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
         }));
}

template <class Place>
void Frame::each_entry(const std::vector<LegendEntry>& legend, Place&& place) const {
  double x = kMargin;
  int row = 0;
  for (const LegendEntry& entry : legend) {
    if (entry.name.empty()) continue;
    const double width = kLegendKey + text_width(entry.name);
    if (x > kMargin && x + width > right()) x = kMargin, ++row;
    place(entry, x, row);
    x += width + kLegendGap;
  }
}

void Frame::begin(const std::vector<LegendEntry>& legend) {
  int last = 0;
  each_entry(legend, [&](const LegendEntry&, double, int row) { last = row; });
  const double height = options_.size.height + (options_.size.grows ? last * kLegendRow : 0);
  bottom_ = height - 58;
  add(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}" role="img")"
      R"( font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="{}" fill="{}">)",
      options_.size.width, height, options_.size.width, height, kFontSize, kInk);
  add("<title>{}</title>", escaped(options_.title));
  for (const PlotTick& tick : y_.ticks()) left_ = std::max(left_, 26 + text_width(tick.label));
  if (!options_.title.empty() && options_.draws_title) {
    top_ += 26;
    text(kMargin, top_, options_.title, R"(font-size="16" font-weight="600")");
  }
  draw_legend(legend);
  top_ += 28;
  text(kMargin, top_, options_.y_label);
  top_ += 16;
  draw_axes();
}

std::string Frame::end() {
  add("</svg>");
  return std::move(svg_);
}

void Frame::text(double x, double y, const std::string& words, const std::string& attributes) {
  add(R"(<text x="{:.2f}" y="{:.2f}" {}>{}</text>)", x, y, attributes, escaped(words));
}

void Frame::draw_legend(const std::vector<LegendEntry>& legend) {
  const double first = top_ + kFirstRow;
  each_entry(legend, [&](const LegendEntry& entry, double x, int row) {
    top_ = first + row * kLegendRow;
    entry.key(x, top_ - 4);
    text(x + kLegendKey, top_, entry.name);
  });
}

void Frame::draw_axes() {
  for (const PlotTick& tick : y_.ticks()) {
    const double y = y_at(tick.x);
    add(R"(<path d="M{:.2f},{:.2f}H{:.2f}" stroke="{}" stroke-opacity="0.25"/>)", left_, y, right(), kInk);
    text(left_ - 8, y + 4.5, tick.label, R"(text-anchor="end")");
  }
  add(R"(<path d="M{:.2f},{:.2f}H{:.2f}" stroke="{}"/>)", left_, bottom_, right(), kInk);
  for (const PlotTick& tick : options_.x_ticks.empty() ? x_.ticks() : options_.x_ticks) {
    const double x = x_at(tick.x);
    add(R"(<path d="M{:.2f},{:.2f}v5" stroke="{}"/>)", x, bottom_, kInk);
    text(x, bottom_ + 20, tick.label, R"(text-anchor="middle")");
  }
  text((left_ + right()) / 2, bottom_ + 44, options_.x_label, R"(text-anchor="middle")");
}

}  // namespace sotalign::app
