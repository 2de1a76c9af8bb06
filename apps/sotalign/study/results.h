// study.json: the figures of every run that is done. It is written anew, as a whole, after each of them, so a
// study that was stopped goes on where it was.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/eval/retrieval.h"
#include "study/cells.h"
#include "study/data.h"

namespace sotalign::app {

struct StudyResult {
  RetrievalResult retrieval;
  double seconds = 0;      ///< of the run with everything that belongs to it
  std::string error = {};  ///< of numbers that went wild; the figures are then zero
  std::optional<StudyShift> shift = {};
};

class StudyResults {
 public:
  /// `header` is what all runs have in common: data, sizes, device, ...
  StudyResults(std::string path, nlohmann::ordered_json header)
      : path_(std::move(path)), header_(std::move(header)) {}

  /// Takes over the runs in the file. Throws InvalidArgument that names the first difference of its header,
  /// or the run that does not belong to a study, and IoError for a file that is not JSON.
  void resume();

  /// The record of a run; null if it is not done.
  const nlohmann::ordered_json* find(const StudyRun& run) const;
  void add(const std::string& section, const StudyRun& run, const StudyResult& result);
  /// `cells` is what was made of the runs.
  void write(const nlohmann::ordered_json& cells) const;

  const nlohmann::ordered_json& records() const { return records_; }
  /// Of all runs.
  double seconds() const;

 private:
  std::string path_;
  nlohmann::ordered_json header_, records_ = nlohmann::ordered_json::array();
  std::map<std::string, size_t> index_;  // of a key's record
};

}  // namespace sotalign::app
