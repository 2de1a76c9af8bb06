#include "plot/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "plot/markup.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

std::vector<int64_t> histogram(const Bins& bins, const std::vector<double>& values) {
  if (!(bins.low < bins.high) || !std::isfinite(bins.high - bins.low) || bins.count < 1)
    throw InvalidArgument(fmt::format("histogram: expected low < high and at least one bin, found {}, {}, {}",
                                      bins.low, bins.high, bins.count));
  std::vector<int64_t> counts(static_cast<size_t>(bins.count));
  const auto last = static_cast<double>(bins.count - 1);
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    const double bin =
        std::floor((value - bins.low) / (bins.high - bins.low) * static_cast<double>(bins.count));
    ++counts[static_cast<size_t>(std::clamp(bin, 0.0, last))];
  }
  return counts;
}

std::string histogram_plot(const PlotOptions& options, const Bins& bins,
                           const std::vector<HistogramSeries>& series) {
  struct Shares {
    const std::string* name;
    std::vector<double> percent;
  };
  std::vector<Shares> all;
  double most = 0;
  for (const HistogramSeries& s : series) {
    const std::vector<int64_t> counts = histogram(bins, s.values);
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    if (total == 0) continue;
    Shares shares{&s.name, {}};
    for (const int64_t count : counts)
      shares.percent.push_back(100 * static_cast<double>(count) / static_cast<double>(total));
    most = std::max(most, *std::max_element(shares.percent.begin(), shares.percent.end()));
    all.push_back(std::move(shares));
  }

  Frame frame(options, Axis::between(bins.low, bins.high), Axis::between(0, most > 0 ? 1.05 * most : 1));
  const auto style = [](size_t i) {
    return fmt::format(
        R"(fill="{0}" fill-opacity="0.22" stroke="{0}" stroke-width="2" stroke-linejoin="round"{1})",
        series_colour(i), i == 0 ? "" : R"( stroke-dasharray="5 3")");
  };
  std::vector<Frame::LegendEntry> legend;
  for (size_t i = 0; i < all.size(); ++i)
    legend.push_back({*all[i].name, [&frame, &style, i](double x, double y) {
                        frame.add(R"(<path d="M{:.2f},{:.2f}v-10h30v10z" {}/>)", x + 2, y + 5, style(i));
                      }});
  frame.begin(legend);
  const double width = (bins.high - bins.low) / static_cast<double>(bins.count);
  for (size_t i = 0; i < all.size(); ++i) {
    std::string path = fmt::format("M{:.2f},{:.2f}", frame.x_at(bins.low), frame.y_at(0));
    for (size_t bin = 0; bin < all[i].percent.size(); ++bin)
      path += fmt::format("V{:.2f}H{:.2f}", frame.y_at(all[i].percent[bin]),
                          frame.x_at(bins.low + width * static_cast<double>(bin + 1)));
    frame.add(R"(<path d="{}V{:.2f}z" {}><title>{}</title></path>)", path, frame.y_at(0), style(i),
              escaped(*all[i].name));
  }
  return frame.end();
}

}  // namespace sotalign::app
