// report.html of `sotalign sweep`.
#pragma once

#include <cstdint>
#include <string>

#include "page/page.h"
#include "sweep/results.h"

namespace sotalign::app {

/// What the page shows. References must stay valid while it is made.
struct SweepPage {
  const SweepResults& results;            ///< so far
  const nlohmann::ordered_json& options;  ///< as sweep.json has them
  size_t planned = 0;                     ///< runs
  Facts facts = {};                       ///< what all runs share
  int64_t test_pairs = 0;
  RetrievalResult test_teacher = {}, test_model = {};  ///< of the selected model; no queries: not measured
};

std::string sweep_page(const SweepPage& page);

}  // namespace sotalign::app
