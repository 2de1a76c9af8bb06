// The study itself: checks everything before the first run, then runs cell by cell.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "run/progress.h"
#include "study/data.h"
#include "study/entries.h"
#include "study/report.h"

namespace sotalign::app {

struct StudyConfig {
  StudyFiles files;
  std::string out, plan, sections = "all";
  StudySizes sizes{.test = 400, .validation = 400};
  StudySeeds seeds{.tuning = {10}, .final = {0, 1, 2}};
  Machine machine;
};

class Study {
 public:
  /// Reads the data. Throws for invalid data, sizes, seeds or sections, and for settings in the plan that a
  /// trainer rejects on a few rows.
  Study(const StudyConfig& config, StudyPlan plan);

  /// A table of how many runs each section has.
  std::string overview() const;
  /// Loads the runs in study.json.
  void resume();
  /// Does all runs that are not done yet, then writes study.md and the plots. False if interrupted.
  bool run(const std::string& command);

 private:
  void check_seeds() const;
  void check_settings();
  nlohmann::ordered_json header() const;
  StudyResult execute(const StudyRun& run, const std::string& name);
  void report(const std::string& command);
  /// std::nullopt for a final run whose setting is not chosen yet.
  std::optional<StudyRun> run_of(const ScheduledRun& scheduled) const;
  /// What the scheduled runs behind `index` that are not done will take; unknown before the first has
  /// finished.
  std::optional<double> seconds_after(size_t index) const;

  const StudyConfig& config_;
  StudyPlan plan_;
  Context context_;
  StudyData data_;
  StudySizes sizes_;
  std::vector<StudyCell> cells_;
  std::vector<ScheduledRun> schedule_;
  Progress progress_;
  std::optional<StudyResults> results_;
};

}  // namespace sotalign::app
