// Shared by the commands that train: train (one run) and sweep (many).
#pragma once

#include "cli/options.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// Throws InvalidArgument for intervals and epsilons out of range, and if the method needs unpaired rows but
/// no file has been given.
void check_config(const TrainConfig& config);

/// A run may be resumed from another directory, where relative paths would mean other files.
void make_absolute(std::string& path);
void make_absolute(DataPaths& paths);

/// Replaces `auto` by what the trainer chose, so that a resumed or repeated run uses the same values.
void keep_choices(TrainConfig& config, const Trainer& trainer);

/// Saves the trainer's weights, with the training options and `step` as metadata.
void save_model(const std::string& path, const Trainer& trainer, const OptionTable& table, int64_t step);

}  // namespace sotalign::app
