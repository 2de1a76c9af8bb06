// The entries of the study's tables: which runs each is made of.
#pragma once

#include <string>
#include <vector>

#include "study/plan.h"

namespace sotalign::app {

struct StudySizes {
  int64_t rows = 0, test = 0, validation = 0;
  bool has_other = false;  ///< files of other rows

  /// What a split leaves for pairs and unpaired rows.
  int64_t pool() const { return rows - test - validation; }
};

struct StudySeeds {
  std::vector<int64_t> tuning, final;
};

/// A method at a number of pairs with some unpaired rows. Its settings are tried on the tuning seeds' splits,
/// measured on their validation rows; the best is run on the final seeds' splits, measured on their test
/// rows.
struct StudyCell {
  std::string section, row, column;  ///< its place in the table
  StudyMethod method;
  int64_t pairs = 0;
  UnpairedRows unpaired = {}, tuning_unpaired = {};
  bool competes = true;  ///< false: has more pairs than the rest of its column

  bool is_tuned() const { return method.settings.size() > 1; }
};

enum class StudyRole { kTuning, kFinal };
std::string to_string(StudyRole role);

/// Everything that decides a run's figures beside data, sizes and machine.
struct StudyRun {
  const StudyMethod* method = nullptr;
  const StudySetting* setting = nullptr;
  int64_t pairs = 0;
  UnpairedRows unpaired;
  uint64_t seed = 0;
  StudyRole role = StudyRole::kFinal;

  nlohmann::ordered_json key() const;
};

/// The row of the method with so many times as many pairs.
std::string worth_row(const StudyPlan::Methods& section, int64_t times);

/// Cells of the chosen sections, in the order in which they are run. Rows that the files do not have are an
/// InvalidArgument, except where a table has columns of several sizes by itself: entries with a multiple of
/// the pairs and unpaired rows beyond what there is are left out.
std::vector<StudyCell> study_cells(const StudyPlan& plan, const std::vector<std::string>& sections,
                                   const StudySizes& sizes);

StudyRun tuning_run(const StudyCell& cell, size_t setting, int64_t seed);
StudyRun final_run(const StudyCell& cell, size_t setting, int64_t seed);

/// A run of a cell, of which the setting is not known before the runs in front of it: of a final one.
struct ScheduledRun {
  const StudyCell* cell = nullptr;
  StudyRole role = StudyRole::kTuning;
  size_t setting = 0;  ///< of a tuning run
  int64_t seed = 0;
};

/// All runs in their order: the tuning of a cell, then its final ones. Runs that two cells share are there
/// once, where they are first needed. Two cells may in the end select equal settings for runs that are
/// otherwise equal; then fewer are run.
std::vector<ScheduledRun> schedule(const std::vector<StudyCell>& cells, const StudySeeds& seeds);

}  // namespace sotalign::app
