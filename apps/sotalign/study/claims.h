// What the paper claims, against what the study found.
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

/// Of the sections that were run.
std::vector<StudyClaim> study_claims(const StudyPlan& plan, const std::vector<StudyEntry>& entries);

/// "12.3 +- 0.4": the mean and, of several seeds, their standard deviation; in percent.
std::string percent(const std::vector<double>& values);

}  // namespace sotalign::app
