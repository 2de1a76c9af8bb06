// What a sweep has found so far, as tables, files and a plot.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/report.h"

namespace sotalign::app {

struct SweepResult {
  nlohmann::ordered_json settings;
  std::string failure = {};             ///< why there are no figures; empty for a run that has some
  RetrievalResult validation, teacher;  ///< of the validation pairs
  int64_t step = 0;                     ///< with the best validation, and this one
  double seconds = 0;
};

class SweepResults {
 public:
  /// Of runs over these keys, for which `runs` are planned.
  SweepResults(std::vector<std::string> keys, const std::vector<nlohmann::ordered_json>& planned);

  /// Whether it is the best so far; of equals, the first.
  bool add(SweepResult result);
  /// null: none with these settings.
  const SweepResult* find(const nlohmann::ordered_json& settings) const;
  /// null: none, or all failed.
  const SweepResult* best() const;
  size_t size() const { return results_.size(); }
  const std::vector<SweepResult>& all() const { return results_; }
  const std::vector<std::string>& keys() const { return keys_; }

  nlohmann::ordered_json to_json() const;
  /// Adds what to_json() wrote. Throws InvalidArgument, whose message begins with `where`, for anything else
  /// and for runs that are not planned.
  void add_json(const nlohmann::ordered_json& runs, const std::string& where);
  std::string to_csv() const;

  /// A line, and one for each result; `number` is counted from 1.
  std::string table_head() const;
  std::string table_row(size_t number, const SweepResult& result, const std::string& remark) const;
  /// All of them, the best first, failures last. Ends without a new line.
  std::string sorted_table() const;

 private:
  std::vector<std::string> keys_;
  std::vector<size_t> widths_;     // of the columns of the keys
  std::set<std::string> planned_;  // the settings of the runs that add_json() may add
  std::vector<SweepResult> results_;
  std::optional<size_t> best_;
};

/// MeanR@1 against what varied. `joined`: by lines, as neighbours in a grid are, unlike random draws.
std::string sweep_plot(const SweepResults& results, bool joined);

}  // namespace sotalign::app
