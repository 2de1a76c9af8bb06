#include <algorithm>
#include <cmath>

#include "plot/svg_plot.h"
#include "study/report.h"

namespace sotalign::app {

namespace {

using Entries = std::vector<StudyEntry>;

void add_point(PlotSeries& series, double x, const StudyEntry& entry) {
  const Spread result = spread(entry.mean_r1);
  series.x.push_back(x);
  series.y.push_back(100 * result.mean);
  series.error.push_back(100 * result.deviation);
}

std::string pairs_plot(const StudyPlan::Methods& section, const Entries& entries, const PlotSize& size) {
  std::vector<PlotSeries> all;
  for (const std::string& row : table_names(entries, "methods", &StudyCell::row)) {
    const auto& ours = section.proposed;
    PlotSeries series{.name = row, .emphasized = std::find(ours.begin(), ours.end(), row) != ours.end()};
    for (const StudyEntry& entry : entries)
      if (entry.cell->section == "methods" && entry.cell->row == row && entry.cell->competes &&
          !entry.cell->unpaired.is_shifted())
        add_point(series, static_cast<double>(entry.cell->pairs), entry);
    if (!series.x.empty()) all.push_back(series);
  }
  return line_plot({.title = "Methods",
                    .x_label = "pairs",
                    .y_label = "MeanR@1, percent",
                    .x_scale = PlotScale::kLog,
                    .size = size,
                    .draws_title = !size.grows},
                   all);
}

std::string unpaired_plot(const StudyPlan::Pools& section, const Entries& entries, const StudySizes& sizes,
                          const PlotSize& size) {
  PlotSeries series{.name = section.method.name, .emphasized = true};
  std::vector<PlotSeries> all;
  const int64_t most = sizes.pool() - section.pairs;
  for (const StudyEntry& entry : entries) {
    if (entry.cell->section != "unpaired") continue;
    const UnpairedRows& rows = entry.cell->unpaired;
    if (rows.is_shifted()) {  // disjoint, half of the rows each
      all.push_back({.name = entry.cell->row});
      add_point(all.back(), static_cast<double>(most) / 2, entry);
    } else {
      add_point(series, static_cast<double>(rows.kind == UnpairedRows::Kind::kAll ? most : rows.count),
                entry);
    }
  }
  all.insert(all.begin(), series);
  return line_plot({.title = "Unpaired rows",
                    .x_label = "unpaired rows of each modality",
                    .y_label = "MeanR@1, percent",
                    .size = size,
                    .draws_title = !size.grows},
                   all);
}

std::string shift_plot(const Entries& entries, const PlotSize& size) {
  std::vector<PlotSeries> all;
  double least = INFINITY, most = -INFINITY;
  const StudyEntry* without = nullptr;
  for (const StudyEntry& entry : entries) {
    if (entry.cell->section != "shift") continue;
    if (entry.shift.empty()) {
      without = &entry;
      continue;
    }
    const double distance = spread(entry.shift).mean;
    least = std::min(least, distance), most = std::max(most, distance);
    all.push_back({.name = entry.cell->row});
    add_point(all.back(), distance, entry);
  }
  if (without != nullptr && !all.empty()) {
    PlotSeries line{.name = without->cell->row};
    add_point(line, least, *without);
    if (most > least) add_point(line, most, *without);
    all.push_back(line);
  }
  return line_plot({.title = "Shifted unpaired rows",
                    .x_label = "distance between unpaired and test rows",
                    .y_label = "MeanR@1, percent",
                    .size = size,
                    .draws_title = !size.grows},
                   all);
}

}  // namespace

std::vector<StudyPlot> study_plots(const StudyPlan& plan, const Entries& entries, const StudySizes& sizes,
                                   const PlotSize& size) {
  const auto has = [&](const char* section) {
    return !table_names(entries, section, &StudyCell::row).empty();
  };
  std::vector<StudyPlot> plots;
  if (has("methods"))
    plots.push_back(
        {"pairs.svg", pairs_plot(*plan.methods, entries, size),
         "How often the right test row comes first, by the number of pairs known in training. Points "
         "are means over the seeds, bars their standard deviations."});
  if (has("unpaired"))
    plots.push_back(
        {"unpaired.svg", unpaired_plot(*plan.unpaired, entries, sizes, size),
         "What more unpaired rows are worth, with the same pairs. Points are means over the seeds, bars "
         "their standard deviations."});
  if (has("shift"))
    plots.push_back(
        {"shift.svg", shift_plot(entries, size),
         "What unpaired rows are worth that are less like the test rows, further to the right. The line "
         "shows training without unpaired rows."});
  return plots;
}

}  // namespace sotalign::app
