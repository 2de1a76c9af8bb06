// Shared by the commands that train: train (one run) and sweep (many).
#pragma once

#include "cli/options.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// Throws InvalidArgument for intervals and epsilons out of range, and if the method needs unpaired rows but
/// no file has been given.
void check_config(const TrainConfig& config);
/// The same for a plan, which needs no --out.
void check_config_to_plan(const TrainConfig& config);

/// A run may be resumed from another directory, where relative paths would mean other files, and later, when
/// a pattern of shards may match more files: DataPaths get the files that it matches now.
void make_absolute(std::string& path);
void make_absolute(DataPaths& paths);

/// Whether what happens every `every` steps is due after the trainer's latest step. It also is at the end,
/// and, unless `every` is 0, after each pass of a closed-form method, for passes are few.
bool is_due(const Trainer& trainer, int64_t every);

/// Replaces `auto` by what the trainer chose, so that a resumed or repeated run uses the same values.
void keep_choices(TrainConfig& config, const Trainer& trainer);

/// Saves the trainer's weights and a bank of config.hubness_bank unpaired rows, with the training options and
/// `step` as metadata. If there is no memory for the bank, saves the model without it and adds a note().
void save_model(const std::string& path, Trainer& trainer, const TrainConfig& config,
                const OptionTable& table, int64_t step);

}  // namespace sotalign::app
