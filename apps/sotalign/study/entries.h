// What the runs of the study's cells amount to.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "study/cells.h"
#include "study/results.h"

namespace sotalign::app {

/// Of figures, one for each seed.
struct Spread {
  double mean = 0;
  double deviation = 0;  ///< standard deviation of the seeds; 0 of one
  double error = 0;      ///< standard error of the mean; 0 of one
};
Spread spread(const std::vector<double>& values);

struct StudyEntry {
  const StudyCell* cell = nullptr;
  std::vector<double> validation =
      {};                            ///< MeanR@1 of each setting, mean of the tuning seeds; empty: not tuned
  size_t selected = 0;               ///< the setting with the highest; of equal ones the first
  std::vector<double> mean_r1 = {};  ///< of each final seed, on test rows
  std::vector<double> seconds = {};  ///< of each final run
  std::vector<double> shift = {};    ///< of each final seed; empty where it was not measured

  const StudySetting& setting() const { return cell->method.settings[selected]; }
};

/// All its tuning runs are done.
StudyEntry select_setting(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds);
/// All its runs are done.
StudyEntry entry_of(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds);

nlohmann::ordered_json to_json(const StudyEntry& entry);

/// Seed by seed, on the same test rows.
Spread difference(const StudyEntry& entry, const StudyEntry& less);

/// Null if there is none.
const StudyEntry* find_entry(const std::vector<StudyEntry>& entries, const std::string& section,
                             const std::string& row, const std::string& column);

/// The different rows, or columns, of a section's entries in the order in which they come.
std::vector<std::string> table_names(const std::vector<StudyEntry>& entries, const std::string& section,
                                     std::string StudyCell::*name);

}  // namespace sotalign::app
