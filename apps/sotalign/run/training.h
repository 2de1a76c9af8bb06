// What the commands that train have in common: train for one run, sweep for many.
#pragma once

#include "cli/options.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// Throws InvalidArgument for intervals and epsilons out of range, and for unpaired rows that are needed and
/// have no file.
void check_config(const TrainConfig& config);

/// Relative paths would mean something else when a run is continued from another directory.
void make_absolute(std::string& path);
void make_absolute(DataPaths& paths);

/// What the trainer chose for `auto` is the choice wherever the run is continued or repeated.
void keep_choices(TrainConfig& config, const Trainer& trainer);

/// The trainer's weights as of `step`, with the options in the table as a note.
void save_model(const std::string& path, const Trainer& trainer, const OptionTable& table, int64_t step);

}  // namespace sotalign::app
