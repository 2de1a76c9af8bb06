// study.json: the figures of every finished run. The whole file is rewritten after each run, so that a
// stopped study can be resumed.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/eval/hubness.h"
#include "sotalign/eval/retrieval.h"
#include "study/cells.h"
#include "study/data.h"

namespace sotalign::app {

struct StudyResult {
  RetrievalResult retrieval;
  /// The same model with dual bank Sinkhorn; final runs with unpaired rows only.
  std::optional<RetrievalResult> dbs = {};
  double seconds = 0;      ///< of the whole run, including data and measurements
  std::string error = {};  ///< why training diverged; the figures are then zero
  std::optional<StudyShift> shift = {};
};

/// What settings are compared by, on validation rows.
enum class Selection {
  kReciprocalRank,
  kRecall,  ///< MeanR@1, in a study that an earlier version began
};
/// "MRR", "MeanR@1".
std::string title(Selection selection);

/// The header's key for the settings of dual bank Sinkhorn. In files of earlier versions, which lack it, they
/// were 1500 rows, temperature 0.1 and 20 iterations.
inline constexpr const char* kHubnessKey = "hubness";
/// What goes there.
nlohmann::ordered_json hubness_json(const HubnessOptions& options);

class StudyResults {
 public:
  /// `header`: what all runs have in common (data, sizes, device, ...).
  StudyResults(std::string path, nlohmann::ordered_json header)
      : path_(std::move(path)), header_(std::move(header)) {}

  /// Loads the runs in the file. Throws InvalidArgument that names the first header key that differs, or the
  /// run that is malformed, and IoError for a file that is damaged or not JSON.
  void resume();

  Selection selection() const { return selection_; }
  /// What selection() compares.
  double score(const RetrievalResult& result) const;
  double score(const nlohmann::ordered_json& record) const;

  /// The record of a run; null if it is not done yet.
  const nlohmann::ordered_json* find(const StudyRun& run) const;
  void add(const std::string& section, const StudyRun& run, const StudyResult& result);
  /// `cells`: the results that were computed from the runs.
  void write(const nlohmann::ordered_json& cells) const;

  const nlohmann::ordered_json& records() const { return records_; }
  /// The total time of all runs.
  double seconds() const;

 private:
  std::string path_;
  Selection selection_ = Selection::kReciprocalRank;
  nlohmann::ordered_json header_, records_ = nlohmann::ordered_json::array();
  std::map<std::string, size_t> index_;  // from a run's key to its record
};

}  // namespace sotalign::app
