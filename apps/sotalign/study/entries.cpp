#include "study/entries.h"

#include <algorithm>
#include <cmath>

namespace sotalign::app {

namespace {

using Json = nlohmann::ordered_json;

double mean_r1(const Json& record) { return record["figures"]["mean_r1"].get<double>(); }

}  // namespace

Spread spread(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  Spread result;
  for (const double value : values) result.mean += value / count;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (count - 1));
  result.error = result.deviation / std::sqrt(count);
  return result;
}

StudyEntry select_setting(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds) {
  StudyEntry entry{.cell = &cell};
  if (!cell.is_tuned()) return entry;
  for (size_t i = 0; i < cell.method.settings.size(); ++i) {
    std::vector<double> scores;
    for (const int64_t seed : seeds.tuning)
      scores.push_back(mean_r1(*results.find(tuning_run(cell, i, seed))));
    entry.validation.push_back(spread(scores).mean);
  }
  entry.selected = static_cast<size_t>(std::max_element(entry.validation.begin(), entry.validation.end()) -
                                       entry.validation.begin());
  return entry;
}

StudyEntry entry_of(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds) {
  StudyEntry entry = select_setting(results, cell, seeds);
  for (const int64_t seed : seeds.final) {
    const Json& record = *results.find(final_run(cell, entry.selected, seed));
    entry.mean_r1.push_back(mean_r1(record));
    entry.seconds.push_back(record["seconds"].get<double>());
    if (record.contains("shift")) entry.shift.push_back(record["shift"]["sum"].get<double>());
  }
  return entry;
}

Json to_json(const StudyEntry& entry) {
  const StudyCell& cell = *entry.cell;
  const Spread result = spread(entry.mean_r1);
  Json json = {{"section", cell.section},
               {"row", cell.row},
               {"column", cell.column},
               {"pairs", cell.pairs},
               {"unpaired", to_json(cell.unpaired)}};
  if (cell.is_tuned()) {
    Json tuning = Json::array();
    for (size_t i = 0; i < entry.validation.size(); ++i)
      tuning.push_back({{"point", cell.method.settings[i].point}, {"validation", entry.validation[i]}});
    json["tuning"] = tuning;
  }
  json["selected"] = entry.setting().point;
  json["mean_r1"] = entry.mean_r1;
  json["mean"] = result.mean;
  json["deviation"] = result.deviation;
  if (!entry.shift.empty()) json["shift"] = spread(entry.shift).mean;
  return json;
}

Spread difference(const StudyEntry& entry, const StudyEntry& less) {
  std::vector<double> values;
  for (size_t i = 0; i < entry.mean_r1.size(); ++i) values.push_back(entry.mean_r1[i] - less.mean_r1.at(i));
  return spread(values);
}

const StudyEntry* find_entry(const std::vector<StudyEntry>& entries, const std::string& section,
                             const std::string& row, const std::string& column) {
  for (const StudyEntry& entry : entries)
    if (entry.cell->section == section && entry.cell->row == row && entry.cell->column == column)
      return &entry;
  return nullptr;
}

std::vector<std::string> table_names(const std::vector<StudyEntry>& entries, const std::string& section,
                                     std::string StudyCell::*name) {
  std::vector<std::string> names;
  for (const StudyEntry& entry : entries)
    if (entry.cell->section == section &&
        std::find(names.begin(), names.end(), (*entry.cell).*name) == names.end())
      names.push_back((*entry.cell).*name);
  return names;
}

}  // namespace sotalign::app
