// The paper's claims, checked against the results of the study.
#pragma once

#include <string>
#include <vector>

#include "study/entries.h"

namespace sotalign::app {

/// Comparisons are decided by decide() of the differences, paired by seed.
enum class Verdict {
  kHolds,      ///< every comparison is decided in favour of the claim
  kUndecided,  ///< none is decided against it
  kFails,      ///< one is decided against it
};
/// "holds", "undecided", "fails".
std::string to_string(Verdict verdict);

struct StudyClaim {
  std::string text;
  Verdict verdict = Verdict::kHolds;
  std::vector<std::string> figures = {};  ///< one line each; recalls in percent
};

/// The claims that the sections run by this study can check.
std::vector<StudyClaim> study_claims(const StudyPlan& plan, const std::vector<StudyEntry>& entries);

/// "12.3 +- 0.4": the mean and, for several seeds, the standard deviation; in percent.
std::string percent(const std::vector<double>& values);

}  // namespace sotalign::app
