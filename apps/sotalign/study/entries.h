// The results of the study's cells, computed from their runs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run/spread.h"
#include "study/cells.h"
#include "study/results.h"

namespace sotalign::app {

struct StudyEntry {
  const StudyCell* cell = nullptr;
  /// What settings are compared by (StudyResults::selection()), averaged over the tuning seeds; empty: not
  /// tuned.
  std::vector<double> validation = {};
  size_t selected = 0;               ///< the best setting; the first one on a tie
  std::vector<double> mean_r1 = {};  ///< per final seed, on test rows
  /// Per final seed, on test rows; empty if a run was made by sotalign 0.1, which did not measure it.
  std::vector<double> mean_reciprocal_rank = {};
  /// The same with dual bank Sinkhorn; empty without unpaired rows, and if a run was made by an earlier
  /// version.
  std::vector<double> dbs_mean_r1 = {}, dbs_mean_reciprocal_rank = {};
  std::vector<double> seconds = {};  ///< per final seed
  std::vector<double> shift = {};    ///< per final seed; empty: not measured

  const StudySetting& setting() const { return cell->method.settings[selected]; }
};

/// Precondition: all tuning runs of the cell are done.
StudyEntry select_setting(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds);
/// Precondition: all runs of the cell are done.
StudyEntry entry_of(const StudyResults& results, const StudyCell& cell, const StudySeeds& seeds);

nlohmann::ordered_json to_json(const StudyEntry& entry);

/// `entry` minus `less`, paired by seed: both were measured on the same test rows.
Spread difference(const StudyEntry& entry, const StudyEntry& less);

/// Null if there is none.
const StudyEntry* find_entry(const std::vector<StudyEntry>& entries, const std::string& section,
                             const std::string& row, const std::string& column);

/// The distinct row or column names of a section, in order of first appearance.
std::vector<std::string> table_names(const std::vector<StudyEntry>& entries, const std::string& section,
                                     std::string StudyCell::*name);

}  // namespace sotalign::app
