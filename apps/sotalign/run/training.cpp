#include "run/training.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/notes.h"
#include "data/shards.h"
#include "sotalign/core/error.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

void check(const TrainConfig& config, std::vector<Needed> needed) {
  needed.emplace_back(config.data.pairs_images, "pairs_images");
  needed.emplace_back(config.data.pairs_texts, "pairs_texts");
  if (effective_method(config.train).needs_unpaired ||
      config.train.teacher.kind == TeacherKind::kSelfTraining) {
    needed.emplace_back(config.data.images, "images");
    needed.emplace_back(config.data.texts, "texts");
  }
  require(needed);
  require_at_least("validate_every", config.validate_every, 0);
  require_at_least("checkpoint_every", config.checkpoint_every, 0);
  require_at_least("log_every", config.log_every, 1);
  require_at_least("hubness_bank", config.hubness_bank, 0);
  check_epsilons(config.train.divergence.epsilon_student, config.train.divergence.epsilon_teacher);
}

}  // namespace

void check_config(const TrainConfig& config) { check(config, {{config.out, "out"}}); }
void check_config_to_plan(const TrainConfig& config) { check(config, {}); }

void make_absolute(std::string& path) {
  if (!path.empty()) path = std::filesystem::absolute(path).lexically_normal();
}

void make_absolute(DataPaths& paths) {
  for (std::string* path : {&paths.pairs_images, &paths.pairs_texts, &paths.val_images, &paths.val_texts})
    make_absolute(*path);
  for (std::vector<std::string>* files : {&paths.images, &paths.texts}) {
    for (std::string& path : *files) make_absolute(path);
    *files = shards(*files);
  }
}

bool is_due(const Trainer& trainer, int64_t every) {
  if (trainer.finished()) return true;
  if (every == 0) return false;
  return trainer.steps_done() % every == 0 || effective_method(trainer.options()).closed_form;
}

void keep_choices(TrainConfig& config, const Trainer& trainer) {
  config.train.affinity_memory = trainer.options().affinity_memory;
  config.train.teacher = trainer.options().teacher;
  config.train.self_training = trainer.options().self_training;
  config.train.steps = trainer.options().steps;
}

void save_model(const std::string& path, Trainer& trainer, const TrainConfig& config,
                const OptionTable& table, int64_t step) {
  if (config.hubness_bank > 0) try {
      trainer.add_bank({.bank = config.hubness_bank, .seed = config.train.seed});
    } catch (const OutOfMemory& error) {  // the trained weights matter more
      note(fmt::format("{} has no bank against hubness: {}", path, error.what()));
    }
  trainer.model().save(path, {{"sotalign", version()},
                              {"options", table.values(Role::kTraining).dump()},
                              {"step", fmt::format("{}", step)}});
}

}  // namespace sotalign::app
