// Results as JSON and as tables.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/eval/bootstrap.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/eval/zero_shot.h"
#include "sotalign/ot/klot.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

nlohmann::ordered_json to_json(const SinkhornResult& result);
nlohmann::ordered_json to_json(const RetrievalResult& result);
/// The inverse. Throws InvalidArgument, with `where` in front, for anything that to_json() does not write.
RetrievalResult retrieval_of_json(const nlohmann::ordered_json& json, const std::string& where);
/// Each interval as [low, high], and how they were computed.
nlohmann::ordered_json to_json(const RetrievalIntervals& intervals, const BootstrapOptions& options);
nlohmann::ordered_json to_json(const ZeroShotResult& result);
nlohmann::ordered_json to_json(const StepMetrics& metrics);

struct RetrievalRow {
  std::string name;
  RetrievalResult result;
  double seconds = -1;                                               ///< negative: not shown
  std::optional<RetrievalIntervals> intervals = std::nullopt;        ///< 95 %; shown in two more lines
  enum class Kind { kFigures, kDifferences } kind = Kind::kFigures;  ///< differences have signs
};

/// A table of recalls in percent and of the mean reciprocal rank (MRR), one line per row.
std::string retrieval_table(const std::vector<RetrievalRow>& rows);

/// What was left to the search, what it chose, and every candidate.
nlohmann::ordered_json to_json(const TeacherSearch& search, const TeacherOptions& asked);

/// What was chosen, why, and every candidate.
nlohmann::ordered_json to_json(const TeacherChoice& choice);

/// The reason for the choice and, for each ridge tried, its best candidate; recalls in percent. Ends
/// without a newline.
std::string search_table(const TeacherSearch& search);

/// The method with its weights: "SOTAlign, klot weight 30".
std::string describe(const TrainOptions& options);

/// One line with the teacher's kind, dimensions and correlations.
std::string describe(const Teacher& teacher, const TeacherOptions& options);

}  // namespace sotalign::app
