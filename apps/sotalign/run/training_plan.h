// sotalign train --plan: what a run would need in memory and time.
#pragma once

#include <string>

#include "cli/options.h"

namespace sotalign::app {

/// Prints the plan of a run without reading the rows of its files; `json`: also writes it there, or nowhere
/// if empty, or to standard output alone if "-". Throws as a run that does not begin.
void print_training_plan(const TrainConfig& config, const std::string& json);

}  // namespace sotalign::app
