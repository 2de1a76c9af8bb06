// The report of a study: study.md and its plots.
#pragma once

#include <string>
#include <vector>

#include "plot/frame.h"
#include "study/entries.h"
#include "study/results.h"

namespace sotalign::app {

/// What a reader needs to know besides the figures.
struct StudyFacts {
  std::string images, texts, command, machine;
  int64_t image_dim = 0, text_dim = 0;
  StudySizes sizes;
  StudySeeds seeds;
  int64_t runs = 0;
  double seconds = 0;
  Selection selection = Selection::kReciprocalRank;
  bool lack_dbs = false;                 ///< an earlier version made some of the final runs
  std::vector<std::string> errors = {};  ///< one line per run that diverged
};

/// The report in Markdown; it embeds the plots below.
std::string study_markdown(const StudyPlan& plan, const std::vector<StudyEntry>& entries,
                           const StudyFacts& facts);

struct StudyPlot {
  std::string file, svg;
  std::string caption;  ///< what it shows, for a page
};
/// Plots of the sections that were run.
/// @param size kPagePlot leaves out the titles, which a page has itself
std::vector<StudyPlot> study_plots(const StudyPlan& plan, const std::vector<StudyEntry>& entries,
                                   const StudySizes& sizes, const PlotSize& size = {});

/// report.html: the report with its plots, and the plan.
/// @param name of the study: its directory
/// @param markdown what study_markdown() returned
/// @param plots of kPagePlot
std::string study_page(const std::string& name, const std::string& markdown,
                       const std::vector<StudyPlot>& plots, const nlohmann::ordered_json& plan);

/// "learning_rate 0.0003, steps 60"
std::string describe_options(const nlohmann::ordered_json& options);

}  // namespace sotalign::app
