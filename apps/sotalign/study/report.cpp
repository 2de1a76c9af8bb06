#include "study/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "cli/duration.h"
#include "cli/json.h"
#include "cli/report.h"
#include "study/claims.h"

namespace sotalign::app {

namespace {

using Entries = std::vector<StudyEntry>;

std::string markdown_row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string markdown_head(const std::vector<std::string>& cells) {
  return markdown_row(cells) + markdown_row(std::vector<std::string>(cells.size(), "---"));
}

/// A column of a table; `cell` gives the text in a row.
struct Column {
  std::string title;
  std::function<std::string(const std::string& row)> cell;
};

std::string table(const std::string& corner, const std::vector<std::string>& rows,
                  const std::vector<Column>& columns) {
  std::vector<std::string> head = {corner};
  for (const Column& column : columns) head.push_back(column.title);
  std::string text = markdown_head(head);
  for (const std::string& row : rows) {
    std::vector<std::string> cells = {row};
    for (const Column& column : columns) cells.push_back(column.cell(row));
    text += markdown_row(cells);
  }
  return text;
}

using Figures = std::vector<double> StudyEntry::*;

/// A figure of every entry in a column of a section, percent, with the best in bold.
Column figures(const Entries& entries, const std::string& section, const std::string& column,
               const std::string& title, Figures figure) {
  return {title, [&entries, section, column, figure](const std::string& row) -> std::string {
            const StudyEntry* entry = find_entry(entries, section, row, column);
            if (entry == nullptr || (entry->*figure).empty()) return "-";
            const auto mean = [&](const StudyEntry& e) { return spread(e.*figure).mean; };
            const auto is_better = [&](const StudyEntry& other) {
              return other.cell->section == section && other.cell->column == column && other.cell->competes &&
                     mean(other) > mean(*entry);
            };
            const bool best =
                entry->cell->competes && std::none_of(entries.begin(), entries.end(), is_better);
            const std::string text = percent(entry->*figure);
            return best ? "**" + text + "**" : text;
          }};
}

constexpr const char* kWithDbs = "with DBS";

void add_recalls(std::vector<Column>& columns, const Entries& entries, const std::string& section,
                 const std::string& column, const std::string& title) {
  columns.push_back(figures(entries, section, column, title, &StudyEntry::mean_r1));
  columns.push_back(figures(entries, section, column, kWithDbs, &StudyEntry::dbs_mean_r1));
}

void add_ranks(std::vector<Column>& columns, const Entries& entries, const std::string& section,
               const std::string& column, const std::string& title) {
  columns.push_back(figures(entries, section, column, title, &StudyEntry::mean_reciprocal_rank));
  columns.push_back(figures(entries, section, column, kWithDbs, &StudyEntry::dbs_mean_reciprocal_rank));
}

/// "300 pairs, disjoint" for the column "300, disjoint".
std::string pairs_title(const std::string& column) {
  const size_t comma = std::min(column.find(','), column.size());
  return column.substr(0, comma) + " pairs" + column.substr(comma);
}

std::string same_title(const std::string& column) { return column; }

/// Two tables of a section: MeanR@1 and, unless a run lacks it, the mean reciprocal rank.
std::string retrieval_tables(const Entries& entries, const std::string& section, const std::string& corner,
                             std::string (*title)(const std::string& column)) {
  std::vector<Column> recalls, ranks;
  for (const std::string& column : table_names(entries, section, &StudyCell::column)) {
    add_recalls(recalls, entries, section, column, title(column));
    add_ranks(ranks, entries, section, column, title(column));
  }
  const std::vector<std::string> rows = table_names(entries, section, &StudyCell::row);
  std::string text = table(corner, rows, recalls);
  const bool lacks_ranks = std::any_of(entries.begin(), entries.end(), [&](const StudyEntry& entry) {
    return entry.cell->section == section && entry.mean_reciprocal_rank.empty();
  });
  if (!lacks_ranks) text += "\n" + table("mean reciprocal rank, percent", rows, ranks);
  return text;
}

/// Both figures of a section with a single column, side by side, behind `columns`.
std::string pools_table(const Entries& entries, const std::string& section, const std::string& corner,
                        const std::vector<std::string>& rows, std::vector<Column> columns = {}) {
  const std::string column = table_names(entries, section, &StudyCell::column).front();
  add_recalls(columns, entries, section, column, column);
  add_ranks(columns, entries, section, column, "MRR, percent");
  return table(corner, rows, columns);
}

std::string seconds_table(const Entries& entries, const std::string& section) {
  std::vector<Column> columns;
  for (const std::string& column : table_names(entries, section, &StudyCell::column))
    columns.push_back(
        {pairs_title(column), [&entries, section, column](const std::string& row) -> std::string {
           const StudyEntry* entry = find_entry(entries, section, row, column);
           return entry == nullptr ? "-" : fmt::format("{:.1f}", spread(entry->seconds).mean);
         }});
  return table("seconds per run", table_names(entries, section, &StudyCell::row), columns);
}

std::string shift_table(const Entries& entries) {
  std::vector<const StudyEntry*> order;
  for (const StudyEntry& entry : entries)
    if (entry.cell->section == "shift") order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return spread(a->shift).mean < spread(b->shift).mean;
  });
  std::vector<std::string> rows;
  rows.reserve(order.size());
  for (const StudyEntry* entry : order) rows.push_back(entry->cell->row);
  const Column distance = {
      "distance to the test rows", [&order](const std::string& row) -> std::string {
        const auto entry =
            std::find_if(order.begin(), order.end(), [&](const auto* e) { return e->cell->row == row; });
        return (*entry)->shift.empty() ? "-" : fmt::format("{:.4f}", spread((*entry)->shift).mean);
      }};
  return pools_table(entries, "shift", "unpaired rows", rows, {distance});
}

/// Keys of the grid whose selected value is the smallest or largest of three or more: a value beyond the grid
/// may be better.
std::vector<std::string> at_the_end(const StudyEntry& entry) {
  std::vector<std::string> keys;
  for (const auto& [key, selected] : entry.setting().point.items()) {
    std::vector<double> values;
    for (const StudySetting& setting : entry.cell->method.settings)
      if (setting.point[key].is_number()) values.push_back(setting.point[key].get<double>());
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    if (values.size() < 3) continue;
    const double value = selected.get<double>();
    if (value == values.front() || value == values.back()) keys.push_back(key);
  }
  return keys;
}

/// One row for the cells that share their tuning runs, with the name of the first.
std::string tuning_table(const Entries& entries, Selection selection) {
  std::string text = markdown_head({"section", "row", "column", "selected setting",
                                    fmt::format("validation {}, percent", title(selection)), "other settings",
                                    "at the edge of the grid"});
  std::set<std::string> seen;
  for (const StudyEntry& entry : entries) {
    const StudyCell& cell = *entry.cell;
    if (!cell.is_tuned() || !seen.insert(fmt::format("{}, {}, {}", cell.method.name, cell.pairs,
                                                     to_json(cell.tuning_unpaired).dump()))
                                 .second)
      continue;
    std::vector<std::string> others;
    for (size_t i = 0; i < entry.validation.size(); ++i)
      if (i != entry.selected) others.push_back(fmt::format("{:.1f}", 100 * entry.validation[i]));
    text += markdown_row(
        {entry.cell->section, entry.cell->row, entry.cell->column, describe_options(entry.setting().point),
         fmt::format("{:.1f}", 100 * entry.validation[entry.selected]),
         fmt::format("{}", fmt::join(others, ", ")), fmt::format("{}", fmt::join(at_the_end(entry), ", "))});
  }
  return text;
}

/// One row per method: its fixed options and its grid.
std::string method_table(const Entries& entries) {
  std::string text = markdown_head({"method", "non-default options", "grid"});
  std::vector<std::string> seen;
  for (const StudyEntry& entry : entries) {
    const StudyMethod& method = entry.cell->method;
    if (std::find(seen.begin(), seen.end(), method.name) != seen.end()) continue;
    seen.push_back(method.name);
    Json fixed = method.settings[0].values, grid = Json::object();
    for (const StudySetting& setting : method.settings)
      for (const auto& [key, value] : setting.point.items()) {
        fixed.erase(key);
        Json& values = grid[key];
        if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
      }
    text += markdown_row({method.name, describe_options(fixed), describe_options(grid)});
  }
  return text;
}

std::string what_was_run(const StudyFacts& f) {
  std::string text = fmt::format(
      "* data: {} ({} dimensions) and {} ({} dimensions), {} rows; rows with the same index are pairs\n"
      "* command: `{}`\n"
      "* machine: {}\n"
      "* {} runs, {} in total\n",
      f.images, f.image_dim, f.texts, f.text_dim, f.sizes.rows, f.command, f.machine, f.runs,
      duration(f.seconds));
  text += fmt::format(
      "\n"
      "Each seed splits the rows into {} test rows, {} validation rows, pairs, and the rest, whose images "
      "and texts are used as unpaired rows. For a given seed, the test rows are the same for every method "
      "and number of pairs, and a smaller set of pairs is a prefix of a larger one. Figures are MeanR@1 in "
      "percent, the mean of image-to-text and text-to-image R@1 among the test rows, averaged over seeds "
      "{}{}.\n\n"
      "Each setting of a method's grid was run on the split of seed {} and measured on its validation "
      "rows. The setting with the best {} (the first one on a tie) was then run with the final seeds, "
      "separately for each number of pairs. Methods that validate chose among their own models by the "
      "validation rows "
      "of "
      "their split. Test rows played no part in this choice: nothing was chosen on those of the "
      "final splits, and those of the tuning splits were not used. But all splits divide the same {} rows: "
      "a test row of a final run may have been a pair, an unpaired row or a validation row of a tuning "
      "split.\n",
      f.sizes.test, f.sizes.validation, fmt::join(f.seeds.final, ", "),
      f.seeds.final.size() > 1 ? " (+- their standard deviation)" : "; a single seed says little",
      fmt::join(f.seeds.tuning, ", "), f.selection == Selection::kRecall ? "MeanR@1" : "mean reciprocal rank",
      f.sizes.rows);
  text +=
      "\nRows and columns named `disjoint` use as unpaired rows the images of one random half of the rest "
      "and "
      "the texts of the other half, so that no unpaired row has its counterpart, and the setting that was "
      "chosen with all of the rest.\n";
  text += fmt::format(
      "\n\"With DBS\" are figures of the same models and test rows, with cosines corrected against hubness "
      "by "
      "dual bank Sinkhorn. The bank holds at most {} of the unpaired rows of each side that the run "
      "trained on, never test rows; the temperature is the default and was not tuned. Without unpaired rows "
      "there is no bank, hence no figure (`-`).",
      HubnessOptions{}.bank);
  text +=
      f.lack_dbs ? " Runs of an earlier version were not measured with DBS and have `-` as well.\n" : "\n";
  if (!f.errors.empty()) {
    text += "\nRuns that diverged count as 0:\n\n";
    for (const std::string& error : f.errors) text += fmt::format("* {}\n", error);
  }
  return text;
}

std::string claims_section(const StudyPlan& plan, const StudyFacts& facts, const Entries& entries) {
  std::string text = fmt::format(
      "## Claims\n\nDifferences are paired by seed{}. A claim holds if all of its differences are more than "
      "two standard errors above zero, fails if one is more than two below, and is undecided "
      "otherwise.\n\n",
      facts.seeds.final.size() > 1 ? ", +- their standard error"
                                   : "; a single seed has no standard error and decides nothing");
  for (const StudyClaim& claim : study_claims(plan, entries)) {
    text += fmt::format("* {}: **{}**\n", claim.text, to_string(claim.verdict));
    for (const std::string& figure : claim.figures) text += fmt::format("  * {}\n", figure);
  }
  return text;
}

}  // namespace

std::string describe_options(const Json& options) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : options.items()) {
    std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    if (value.is_array()) {
      std::vector<std::string> values;
      for (const Json& v : value) values.push_back(v.is_string() ? v.get<std::string>() : v.dump());
      shown = fmt::format("{}", fmt::join(values, " / "));
    }
    parts.push_back(fmt::format("{} {}", key, shown));
  }
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string study_markdown(const StudyPlan& plan, const Entries& entries, const StudyFacts& facts) {
  const auto has = [&](const char* section) {
    return !table_names(entries, section, &StudyCell::row).empty();
  };
  std::string text = "# Study\n\n## What was run\n\n" + what_was_run(facts);
  if (has("methods")) {
    text += "\n## Methods\n\n" + retrieval_tables(entries, "methods", "method", pairs_title);
    if (const std::vector<int64_t> missing = pairs_left_out(*plan.methods, facts.sizes); !missing.empty())
      text += fmt::format("\nThe data have too few rows for {} pairs.\n", fmt::join(missing, " and for "));
    if (!plan.methods->worth_times.empty())
      text +=
          "\nThe last rows use more pairs than their column says, to show how many pairs a method is "
          "worth.\n";
    text += "\n![MeanR@1 by pairs](pairs.svg)\n\n" + seconds_table(entries, "methods");
  }
  if (has("teachers"))
    text += fmt::format("\n## Teachers and divergences, {} pairs\n\n", plan.teachers->pairs) +
            retrieval_tables(entries, "teachers", "teacher", same_title);
  if (has("unpaired"))
    text += fmt::format("\n## Unpaired rows, {} pairs\n\n", plan.unpaired->pairs) +
            pools_table(entries, "unpaired", "unpaired rows of each modality",
                        table_names(entries, "unpaired", &StudyCell::row)) +
            fmt::format(
                "\n{} was tuned once, with all unpaired rows.\n\n![MeanR@1 by unpaired "
                "rows](unpaired.svg)\n",
                plan.unpaired->method.name);
  if (has("shift"))
    text +=
        fmt::format("\n## Shifted unpaired rows, {} pairs\n\n", plan.shift->pairs) + shift_table(entries) +
        fmt::format(
            "\n"
            "The distance is the spherical sliced Wasserstein distance of the images plus that of the "
            "texts, averaged over the seeds. Every entry but `none` uses half as many rows as there are "
            "unpaired rows. `same`: images and texts of the same rows; `disjoint`: of different rows, so "
            "that no image has its text; `biased`: like `disjoint`, but the images tend to the upper half "
            "along the first principal direction of the unpaired images, and the texts to the lower half "
            "(at 100 %, all of them are in these halves); `upper`: images and texts of the rows in the "
            "upper half; `other`: rows of the other files. {} was tuned once, with all unpaired rows.\n\n"
            "![MeanR@1 by distance](shift.svg)\n",
            plan.shift->method.name);
  text += "\n" + claims_section(plan, facts, entries);
  text += "\n## Grids\n\n" + method_table(entries);
  return text + "\n## Tuning\n\n" + tuning_table(entries, facts.selection);
}

}  // namespace sotalign::app
