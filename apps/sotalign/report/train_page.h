// report.html of `sotalign train`.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "page/page.h"
#include "report/shown_pairs.h"
#include "run/metrics_table.h"
#include "run/phase_timer.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// What the page shows besides the model. References must stay valid while the page is made.
struct TrainPage {
  std::string name;  ///< of the run: its directory
  const MetricsTable& metrics;
  Facts facts;  ///< data, device, teacher, ..., as printed at the start
  nlohmann::ordered_json options;
  const ShownPairs& pairs;
  PhaseTimer& phases;
  std::string origin = {};  ///< of the model: "model from step 40"
  /// On the validation pairs; empty without them. `model` is also empty if the run was stopped.
  std::optional<RetrievalResult> teacher = {}, model = {};
};

/// The page, with curves of the whole run. A part that cannot be computed says so in its place:
/// NumericalError and OutOfMemory are not thrown.
/// @param trainer with the weights to show
std::string train_page(Context& context, const Trainer& trainer, const TrainPage& page);

}  // namespace sotalign::app
