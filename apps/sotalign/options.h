// What the commands can be told, and the table entries that tell it. Default values are those of the
// library's option structs.
#pragma once

#include <string>

#include "option_table.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// Where and how to run.
struct Machine {
  std::string device = "auto";
  int64_t threads = 0;
  bool quiet = false;
};

/// Files of embeddings, row by row.
struct DataPaths {
  std::string pairs_images, pairs_texts, images, texts, val_images, val_texts;
};

struct TrainConfig {
  DataPaths data;
  Machine machine;
  std::string out;
  TrainOptions train;
  int64_t validate_every = 10;
  int64_t checkpoint_every = 50;
  int64_t log_every = 10;
};

void add_machine_options(OptionTable& table, Machine& machine);
void add_data_options(OptionTable& table, DataPaths& paths);
void add_teacher_options(OptionTable& table, TeacherOptions& options);
void add_klot_options(OptionTable& table, KlotOptions& options);
void add_form_options(OptionTable& table, double& relaxation, SinkhornForm& form, SinkhornStorage& storage);
/// What decides the result besides the data and the seed.
void add_method_options(OptionTable& table, TrainOptions& options);
void add_train_options(OptionTable& table, TrainConfig& config);
void add_projection_option(OptionTable& table, Projection& projection);

/// Throws InvalidArgument for a device or a number of threads that there is not.
Context make_context(const Machine& machine);

/// "cuda:0, NVIDIA H200", or "cpu, 2 threads" followed, where that was not asked for, by the reason.
std::string describe_device(const Context& context, const Machine& machine);

/// Throws InvalidArgument that names which epsilon is out of range.
void check_epsilons(const KlotOptions& options);

/// Throws InvalidArgument unless `value` is set; `key` as in the table.
void require(const std::string& value, const std::string& key);

}  // namespace sotalign::app
