// The paper's claims, checked against the results of the study.
#pragma once

#include <string>
#include <vector>

#include "study/entries.h"

namespace sotalign::app {

struct StudyClaim {
  std::string text;
  bool holds = false;
  std::vector<std::string> figures = {};  ///< one line each; recalls in percent
};

/// The claims that the sections run by this study can check.
std::vector<StudyClaim> study_claims(const StudyPlan& plan, const std::vector<StudyEntry>& entries);

/// "12.3 +- 0.4": the mean and, for several seeds, the standard deviation; in percent.
std::string percent(const std::vector<double>& values);

}  // namespace sotalign::app
