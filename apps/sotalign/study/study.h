// The study itself: what is to be run, checked before anything is, and run, cell by cell.
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
  std::string out, plan, sections = "methods,teachers,unpaired,shift";
  StudySizes sizes{.test = 400, .validation = 400};
  StudySeeds seeds{.tuning = {10}, .final = {0, 1, 2}};
  Machine machine;
};

class Study {
 public:
  /// Reads the data. Throws for whatever is wrong with it, with sizes, seeds, sections and, if a training of
  /// a few rows shows it, with the plan's settings.
  Study(const StudyConfig& config, StudyPlan plan);

  /// Runs of each section.
  std::string overview() const;
  /// Takes over the runs in study.json.
  void resume();
  /// Everything that is not done yet; false if it was interrupted. Then study.md and the plots are written.
  bool run(const std::string& command);

 private:
  void check_seeds() const;
  void check_settings();
  nlohmann::ordered_json header() const;
  StudyResult execute(const StudyRun& run, const std::string& name);
  void report(const std::string& command);
  /// Of the runs from the schedule's `next` on, as far as runs that are done tell; 0: nothing is known.
  double seconds_left(size_t next) const;

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
