// Chooses the plot for a sweep. The first numeric key is the x axis. The series are the values of the second
// key of a two-key grid, or of a non-numeric key of random draws.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "cli/json.h"
#include "plot/svg_plot.h"
#include "sweep/plan.h"
#include "sweep/results.h"

namespace sotalign::app {

namespace {

constexpr size_t kMostSeries = 8;  // and the teacher: as many as line_plot() can tell apart
constexpr double kLogSpan = 20;    // an axis is logarithmic above this ratio of largest to smallest value

std::vector<const SweepResult*> finished(const SweepResults& results) {
  std::vector<const SweepResult*> runs;
  for (const SweepResult& result : results.all())
    if (result.failure.empty()) runs.push_back(&result);
  return runs;
}

/// The distinct values of a key, in the order of the runs.
std::vector<Json> values_of(const std::vector<const SweepResult*>& runs, const std::string& key) {
  std::vector<Json> values;
  for (const SweepResult* run : runs)
    if (const Json& value = run->settings.at(key);
        std::find(values.begin(), values.end(), value) == values.end())
      values.push_back(value);
  return values;
}

bool is_numeric(const std::vector<Json>& values) {
  return std::all_of(values.begin(), values.end(), [](const Json& v) { return v.is_number(); });
}

/// Positions of a key's values on the x axis.
class Positions {
 public:
  explicit Positions(std::vector<Json> values) : values_(std::move(values)) {
    if (!is_numeric(values_)) {
      for (size_t i = 0; i < values_.size(); ++i)
        ticks_.push_back({static_cast<double>(i), value_text(values_[i])});
      return;
    }
    std::vector<double> positive;
    bool zero = false, negative = false;
    for (const Json& value : values_) {
      const auto number = value.get<double>();
      if (number > 0) positive.push_back(number);
      zero = zero || number == 0, negative = negative || number < 0;
    }
    std::sort(positive.begin(), positive.end());
    if (negative || positive.empty() || positive.back() <= kLogSpan * positive.front()) return;
    scale_ = PlotScale::kLog;
    if (!zero) return;
    // A logarithmic axis has no 0: put it left of the other values.
    const auto gaps = static_cast<double>(positive.size() - 1);
    zero_ = positive.front() / std::max(2.0, std::pow(positive.back() / positive.front(), 1 / gaps));
    ticks_.push_back({zero_, "0"});
    for (const double number : positive) ticks_.push_back({number, fmt::format("{:g}", number)});
  }

  double of(const Json& value) const {
    if (!is_numeric(values_))
      return static_cast<double>(std::find(values_.begin(), values_.end(), value) - values_.begin());
    return value == 0 ? zero_ : value.get<double>();
  }
  PlotScale scale() const { return scale_; }
  const std::vector<PlotTick>& ticks() const { return ticks_; }

 private:
  std::vector<Json> values_;
  PlotScale scale_ = PlotScale::kLinear;
  double zero_ = 0;
  std::vector<PlotTick> ticks_;
};

double percent(const RetrievalResult& result) { return 100 * result.mean_r1; }

/// At each x, the best of the runs for which `belongs` is true.
PlotSeries best_of(const std::vector<const SweepResult*>& runs, const std::string& name,
                   const std::function<double(const SweepResult&)>& x,
                   const std::function<bool(const SweepResult&)>& belongs) {
  std::map<double, double> points;
  for (const SweepResult* run : runs) {
    if (!belongs(*run)) continue;
    const auto [point, added] = points.try_emplace(x(*run), percent(run->validation));
    if (!added) point->second = std::max(point->second, percent(run->validation));
  }
  PlotSeries series{.name = name, .x = {}, .y = {}};
  for (const auto& [position, score] : points) series.x.push_back(position), series.y.push_back(score);
  return series;
}

/// Adds the teacher as a horizontal line if it has the same score in all runs.
void add_teacher(std::vector<PlotSeries>& all, const std::vector<const SweepResult*>& runs,
                 const std::function<double(const SweepResult&)>& x) {
  const double score = percent(runs.front()->teacher);
  double low = x(*runs.front()), high = low;
  for (const SweepResult* run : runs) {
    if (percent(run->teacher) != score) return;
    low = std::min(low, x(*run)), high = std::max(high, x(*run));
  }
  all.push_back({.name = "teacher", .x = {low, high}, .y = {score, score}});
}

}  // namespace

std::string sweep_plot(const SweepResults& results, bool joined, const PlotSize& size) {
  const std::vector<std::string>& keys = results.keys();
  const std::vector<const SweepResult*> runs = finished(results);
  const auto key = std::find_if(keys.begin(), keys.end(),
                                [&](const std::string& k) { return is_numeric(values_of(runs, k)); });
  const std::string& along = key == keys.end() ? keys.front() : *key;
  const Positions positions(values_of(runs, along));
  const auto x = [&](const SweepResult& run) { return positions.of(run.settings.at(along)); };

  std::vector<PlotSeries> series;
  const auto partner = std::find_if(keys.begin(), keys.end(), [&](const std::string& k) {
    const std::vector<Json> values = values_of(runs, k);
    return k != along && values.size() <= kMostSeries && (joined ? keys.size() == 2 : !is_numeric(values));
  });
  if (partner != keys.end()) {
    for (const Json& value : values_of(runs, *partner))
      series.push_back(best_of(runs, settings_text({{*partner, value}}), x,
                               [&](const SweepResult& run) { return run.settings.at(*partner) == value; }));
  } else {
    series.push_back(best_of(runs, joined && keys.size() > 1 ? "best model" : "model", x,
                             [](const SweepResult&) { return true; }));
    series.back().emphasized = true;
  }
  const bool words = key == keys.end();
  for (PlotSeries& s : series) s.joined = joined && !words;
  if (!runs.empty()) add_teacher(series, runs, x);
  return line_plot({.title = "MeanR@1 on the validation pairs",
                    .x_label = along,
                    .y_label = "percent",
                    .x_scale = positions.scale(),
                    .x_ticks = positions.ticks(),
                    .size = size,
                    .draws_title = !size.grows},
                   series);
}

}  // namespace sotalign::app
