// The results of a sweep so far, as tables, files and a plot.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/report.h"
#include "page/page.h"
#include "plot/frame.h"

namespace sotalign::app {

struct SweepResult {
  nlohmann::ordered_json settings;
  std::string failure = {};             ///< why the run failed; empty if it succeeded
  RetrievalResult validation, teacher;  ///< on the validation pairs
  int64_t step = 0;                     ///< the step with the best validation, which `validation` shows
  double seconds = 0;
};

class SweepResults {
 public:
  /// `keys` are varied; `planned` has the settings of every run of the sweep.
  SweepResults(std::vector<std::string> keys, const std::vector<nlohmann::ordered_json>& planned);

  /// Returns whether the result has the highest mean reciprocal rank so far; on a tie, the first one stays
  /// the best.
  bool add(SweepResult result);
  /// Null if there is no result for these settings.
  const SweepResult* find(const nlohmann::ordered_json& settings) const;
  /// Null if no run has succeeded.
  const SweepResult* best() const;
  size_t size() const { return results_.size(); }
  const std::vector<SweepResult>& all() const { return results_; }
  const std::vector<std::string>& keys() const { return keys_; }

  nlohmann::ordered_json to_json() const;
  /// Adds what to_json() wrote. Throws InvalidArgument, with `where` in front, for anything else and for runs
  /// that are not planned.
  void add_json(const nlohmann::ordered_json& runs, const std::string& where);
  std::string to_csv() const;

  /// The header line, and one line per result; `number` counts from 1.
  std::string table_head() const;
  std::string table_row(size_t number, const SweepResult& result, const std::string& remark) const;
  /// All results, the best first, failures last; no newline at the end.
  std::string sorted_table() const;
  /// The same for a page.
  HtmlTable page_table() const;

 private:
  /// The numbers of the results, the best first, failures last.
  std::vector<size_t> sorted() const;
  /// What the best run has most of.
  double score(const SweepResult& result) const;

  std::vector<std::string> keys_;
  std::vector<size_t> widths_;     // of the keys' columns
  std::set<std::string> planned_;  // settings of the runs that add_json() may still add
  std::vector<SweepResult> results_;
  std::optional<size_t> best_;
  bool by_recall_ = false;  // a sweep that sotalign 0.1 began goes on comparing MeanR@1
};

/// A plot of MeanR@1 against a varied key. `joined` connects neighbours by lines: for grids, not for draws.
/// @param size kPagePlot leaves out the title, which a page has itself
std::string sweep_plot(const SweepResults& results, bool joined, const PlotSize& size = {});

}  // namespace sotalign::app
