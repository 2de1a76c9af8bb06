// The cells of the study's tables, and the runs that each cell needs.
#pragma once

#include <string>
#include <vector>

#include "study/plan.h"

namespace sotalign::app {

struct StudySizes {
  int64_t rows = 0, test = 0, validation = 0;
  bool has_other = false;  ///< there are files of other unpaired rows

  /// The rows of a split that remain for pairs and unpaired rows.
  int64_t pool() const { return rows - test - validation; }
};

struct StudySeeds {
  std::vector<int64_t> tuning, final;
};

/// A method at a number of pairs with some unpaired rows. Tuning runs try its settings on the splits of the
/// tuning seeds and measure validation rows. Final runs use the best setting on the splits of the final seeds
/// and measure test rows.
struct StudyCell {
  std::string section, row, column;  ///< its place in the table
  StudyMethod method;
  int64_t pairs = 0;
  UnpairedRows unpaired = {}, tuning_unpaired = {};
  bool competes = true;  ///< false: trains on more pairs, or other rows, than the rest of its column

  bool is_tuned() const { return method.settings.size() > 1; }
};

enum class StudyRole { kTuning, kFinal };
std::string to_string(StudyRole role);

/// Everything that decides a run's figures besides data, sizes and machine.
struct StudyRun {
  const StudyMethod* method = nullptr;
  const StudySetting* setting = nullptr;
  int64_t pairs = 0;
  UnpairedRows unpaired;
  uint64_t seed = 0;
  StudyRole role = StudyRole::kFinal;

  nlohmann::ordered_json key() const;
};

/// The name of a row or column whose runs get disjoint unpaired rows: "300, disjoint".
std::string disjoint_name(const std::string& name);
/// The name of the row in which the method gets `times` as many pairs.
std::string worth_row(const StudyPlan::Methods& section, int64_t times);

/// The methods section's numbers of pairs that leave fewer than two unpaired rows.
std::vector<int64_t> pairs_left_out(const StudyPlan::Methods& section, const StudySizes& sizes);

/// The cells of the chosen sections, in the order of their runs. Throws InvalidArgument if the files have too
/// few rows for a section. Leaves out cells that need more pairs or unpaired rows than there are and, without
/// files of another source, cells that draw on them.
std::vector<StudyCell> study_cells(const StudyPlan& plan, const std::vector<std::string>& sections,
                                   const StudySizes& sizes);

StudyRun tuning_run(const StudyCell& cell, size_t setting, int64_t seed);
StudyRun final_run(const StudyCell& cell, size_t setting, int64_t seed);

/// A scheduled run. The setting of a final run is known only after tuning.
struct ScheduledRun {
  const StudyCell* cell = nullptr;
  StudyRole role = StudyRole::kTuning;
  size_t setting = 0;  ///< tuning runs only
  int64_t seed = 0;
};

/// All runs in order: the tuning runs of a cell, then its final runs. A run that cells share is listed once,
/// where it is first needed. If two cells select the same setting, their final runs may turn out to be equal;
/// then fewer runs are done than scheduled.
std::vector<ScheduledRun> schedule(const std::vector<StudyCell>& cells, const StudySeeds& seeds);

}  // namespace sotalign::app
