#include "study/entries.h"
#include "cli/json.h"

#include <algorithm>

namespace sotalign::app {

namespace {

double mean_r1(const Json& record) { return record["figures"]["mean_r1"].get<double>(); }

}  // namespace

StudyEntry select_setting(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds) {
  StudyEntry entry{.cell = &cell};
  if (!cell.is_tuned()) return entry;
  for (size_t i = 0; i < cell.method.settings.size(); ++i) {
    std::vector<double> scores;
    for (const int64_t seed : seeds.tuning)
      scores.push_back(results.score(*results.find(tuning_run(cell, i, seed))));
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
    if (const auto found = record["figures"].find("mean_reciprocal_rank"); found != record["figures"].end())
      entry.mean_reciprocal_rank.push_back(found->get<double>());
    if (const auto dbs = record.find("dbs"); dbs != record.end()) {
      entry.dbs_mean_r1.push_back((*dbs)["mean_r1"].get<double>());
      entry.dbs_mean_reciprocal_rank.push_back((*dbs)["mean_reciprocal_rank"].get<double>());
    }
    entry.seconds.push_back(record["seconds"].get<double>());
    if (record.contains("shift")) entry.shift.push_back(record["shift"]["sum"].get<double>());
  }
  for (std::vector<double>* figures :
       {&entry.mean_reciprocal_rank, &entry.dbs_mean_r1, &entry.dbs_mean_reciprocal_rank})
    if (figures->size() < entry.mean_r1.size()) figures->clear();
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
  if (!entry.mean_reciprocal_rank.empty()) json["mean_reciprocal_rank"] = entry.mean_reciprocal_rank;
  if (!entry.dbs_mean_r1.empty())
    json["dbs"] = {{"mean_r1", entry.dbs_mean_r1},
                   {"mean", spread(entry.dbs_mean_r1).mean},
                   {"deviation", spread(entry.dbs_mean_r1).deviation},
                   {"mean_reciprocal_rank", entry.dbs_mean_reciprocal_rank}};
  if (!entry.shift.empty()) json["shift"] = spread(entry.shift).mean;
  return json;
}

Spread difference(const StudyEntry& entry, const StudyEntry& less) {
  return spread(differences(entry.mean_r1, less.mean_r1));
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
