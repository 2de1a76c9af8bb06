// The options of the commands and their table entries. Defaults are those of the library's option structs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// Where and how to run.
struct Machine {
  std::string device = "auto";
  int64_t threads = 0;
  bool force_threads = false;
  bool quiet = false;
};

/// Files of embeddings, one embedding per row. Unpaired rows may be in several files, or given by patterns:
/// see data/shards.h.
struct DataPaths {
  std::string pairs_images, pairs_texts, val_images, val_texts;
  std::vector<std::string> images, texts;
};

struct TrainConfig {
  DataPaths data;
  Machine machine;
  std::string out;
  TrainOptions train;
  int64_t validate_every = 10;
  int64_t checkpoint_every = 50;
  int64_t log_every = 10;
  int64_t hubness_bank = HubnessOptions{}.bank;
  /// For the report: lines of text, and a folder of images, of the validation pairs.
  std::string val_captions, val_thumbnails;
};

/// Upper bounds: more steps and iterations than anyone waits for, and wider than any layer.
constexpr int64_t kMostSteps = 100'000'000, kMostIterations = 1'000'000, kMostWidth = 1 << 20;
/// The bank is solved for with matrices [kMostBank, kMostBank], 400 MB each.
constexpr int64_t kMostBank = 10'000;

void add_machine_options(OptionTable& table, Machine& machine);
/// `role`: kPath, or kMatrix if one of them may come from standard input.
void add_data_options(OptionTable& table, DataPaths& paths, Role role);
/// How many unpaired rows of each side a model keeps.
void add_bank_option(OptionTable& table, int64_t& bank);
/// --hubness with its numbers, for commands that use a model's bank.
void add_hubness_options(OptionTable& table, Target kind, HubnessOptions& options);
void add_teacher_options(OptionTable& table, TeacherOptions& options);
void add_self_training_options(OptionTable& table, SelfTrainingOptions& options);
void add_klot_options(OptionTable& table, KlotOptions& options);
/// Which divergence.
void add_divergence_choice(OptionTable& table, const std::string& key, DivergenceOptions& options);
/// The options of all divergences.
void add_divergence_options(OptionTable& table, DivergenceOptions& options);
/// The options that determine the result, besides data and seed.
void add_method_options(OptionTable& table, TrainOptions& options);
void add_train_options(OptionTable& table, TrainConfig& config);
void add_projection_option(OptionTable& table, Projection& projection);

/// The options of the Sinkhorn solver. `add_relaxation` adds those of over-relaxation.
template <class Function>
void add_solver_options(OptionTable& table, SolveOptions& options, Symmetrize& symmetrize,
                        Function add_relaxation) {
  table.add("iterations", AtMost{&options.iterations, kMostIterations},
            "Sinkhorn iterations; with a tolerance, the most");
  table.add("tolerance", &options.tolerance, "Stop at this L1 error of the marginals; 0: never");
  table.add("check_every", &options.check_every, "Iterations between two checks of that error");
  table.add("symmetrize", &symmetrize, "Average the last potential with its next update");
  add_relaxation();
  table.add("epsilon_scaling", &options.epsilon_scaling,
            "Start with this multiple of epsilon and halve it every 5 iterations; 1: do not");
  table.add("sinkhorn_form",
            choice(&options.form, {{"auto", SinkhornForm::kAuto},
                                   {"scaling", SinkhornForm::kScaling},
                                   {"log_domain", SinkhornForm::kLogDomain}}),
            "scaling: faster, and needs memory for one more matrix");
  table.add(
      "sinkhorn_storage",
      choice(&options.storage, {{"float", SinkhornStorage::kFloat}, {"ladder", SinkhornStorage::kLadder}}),
      "Of that matrix; ladder: bfloat16 until the last iterations");
}
inline void add_solver_options(OptionTable& table, SolveOptions& options, Symmetrize& symmetrize) {
  add_solver_options(table, options, symmetrize, [&] {
    table.add("relaxation", &options.relaxation,
              "Over-relaxation of the updates, in (0, 2); 1: plain Sinkhorn");
  });
}

/// Throws InvalidArgument for an unavailable device or an invalid number of threads, and Error if threads
/// cannot be started. Uses no more threads than cores unless forced, with a note on standard error unless
/// quiet.
Context make_context(const Machine& machine);

/// The same for commands that train, with the CUDA libraries loaded: without them, training would fail after
/// its directory has been made.
Context make_training_context(const Machine& machine);

/// "cuda:0, NVIDIA H200" or "cpu, 2 threads". If "auto" chose the CPU, the reason follows in parentheses.
std::string describe_device(const Context& context, const Machine& machine);

/// Throws InvalidArgument naming the epsilon that is not > 0.
void check_epsilons(double student, double teacher);

/// Throws InvalidArgument, starting with `key`, unless there are 1 to 1000 seeds.
void require_few_seeds(const char* key, const std::vector<int64_t>& seeds);

/// An option that has to be given; `key` is its key in the table.
struct Needed {
  Needed(const std::string& value, const char* name) : key(name), given(!value.empty()) {}
  Needed(const std::vector<std::string>& values, const char* name) : key(name), given(!values.empty()) {}
  template <class T>
  Needed(const std::optional<T>& value, const char* name) : key(name), given(value.has_value()) {}

  const char* key;
  bool given;
};

/// Throws InvalidArgument, naming the flags of all that are not given.
void require(const std::vector<Needed>& options);
void require(const std::string& value, const char* key);
/// Throws InvalidArgument if only one of two options is given.
void require_both(const Needed& a, const Needed& b);
void require_at_least(const char* key, int64_t value, int64_t least);

}  // namespace sotalign::app
