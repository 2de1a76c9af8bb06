// sotalign sweep: trains once for each combination of option values, or for each random draw. It keeps the
// model with the best mean reciprocal rank on the validation pairs, and measures only this model, once, on
// the test pairs. Every combination is checked before the first training. An interrupted sweep can be
// resumed.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cli/json.h"
#include "cli/json_reader.h"
#include "cli/parse_json.h"
#include "cli/shown_text.h"
#include "commands/command.h"
#include "run/checked_json.h"
#include "run/run_directory.h"
#include "run/training.h"
#include "sotalign/core/error.h"
#include "sweep/sweep.h"

namespace sotalign::app {

namespace {

constexpr const char* kOnlyOfTrain[] = {"checkpoint_every", "log_every", "val_captions", "val_thumbnails"};

/// Restores the options of the stored sweep. If any option is `given`, all have to equal the stored ones.
void continue_with(SweepArguments& arguments, const Json& stored, const std::string& path, bool given) {
  if (!stored.is_object() || !stored.contains("options"))
    throw IoError(fmt::format("{}: expected a sweep.json with the key 'options', found none", path));
  const Json& options = stored.at("options");
  const JsonReader reader(options, path + ": options");
  const Json ours = arguments.options(), machine = arguments.table.values(Role::kMachine);
  for (const auto& [key, value] : ours.items()) {
    if (machine.contains(key)) continue;  // they may differ
    if (!reader.has(key) && arguments.table.was_added_later(key) && arguments.table.given(key, path).empty())
      continue;
    if (const Json& theirs = reader.at(key); given && theirs != value)
      throw InvalidArgument(
          fmt::format("{}: expected {} {} as in this sweep, found {}; --resume needs no options but --out",
                      path, key, shown(value_text(theirs)), shown(value_text(value))));
  }
  // An older sweep lacks these two options; it trained without a bank, in float32.
  if (!reader.has("hubness_bank")) arguments.config.hubness_bank = 0;
  if (!reader.has("math")) arguments.config.train.math = ProductMath::kFp32;
  SweepSpace& space = arguments.space;
  space.vary = reader.strings("vary");
  space.range = reader.strings("range");
  space.random = reader.count("random", 0);
  space.seed = reader.seed("sweep_seed");
  arguments.test_images = reader.string("test_images");
  arguments.test_texts = reader.string("test_texts");
  Json theirs = options;
  for (const char* key : {"vary", "range", "random", "sweep_seed", "test_images", "test_texts"})
    theirs.erase(key);
  arguments.table.set_unless_given(theirs, path);
}

/// Checks every string that sweep.json stores.
void require_utf8(const SweepArguments& arguments) {
  arguments.table.require_utf8();
  app::require_utf8("--test-images", arguments.test_images);
  app::require_utf8("--test-texts", arguments.test_texts);
  for (const std::string& text : arguments.space.vary) app::require_utf8("--vary", text);
  for (const std::string& text : arguments.space.range) app::require_utf8("--range", text);
}

SweepData read_data(const SweepArguments& arguments) {
  const DataPaths& paths = arguments.config.data;
  require({{paths.val_images, "val_images"}, {paths.val_texts, "val_texts"}});
  SweepData data{.training = read_dataset(paths), .test_images = {}, .test_texts = {}};
  const std::string &images = arguments.test_images, &texts = arguments.test_texts;
  if (images.empty() && texts.empty()) return data;
  require_both({images, "test_images"}, {texts, "test_texts"});
  data.test_images = read_embeddings(images);
  data.test_texts = read_embeddings(texts);
  require_pairs(images, data.test_images.rows(), texts, data.test_texts.rows());
  require_cols(images, data.test_images, paths.pairs_images, data.training.pair_images);
  require_cols(texts, data.test_texts, paths.pairs_texts, data.training.pair_texts);
  return data;
}

/// Puts a run's settings in front of what `check` throws.
template <class Check>
void check_each(const std::vector<SweepRun>& runs, Check&& check) {
  for (const SweepRun& run : runs) try {
      check(run.config);
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(fmt::format("{}: {}", settings_text(run.settings), error.what()));
    }
}

int run(SweepArguments& arguments, bool given) {
  TrainConfig& config = arguments.config;
  if (!arguments.config_path.empty()) arguments.table.read_config(arguments.config_path);
  std::vector<Needed> needed = {{config.out, "out"}};
  if (!arguments.resume) {
    const DataPaths& data = config.data;
    needed.insert(needed.end(), {{data.pairs_images, "pairs_images"},
                                 {data.pairs_texts, "pairs_texts"},
                                 {data.val_images, "val_images"},
                                 {data.val_texts, "val_texts"}});
  }
  require(needed);
  require_at_least("stop_after_runs", arguments.stop_after_runs, 0);
  make_absolute(config.data);
  make_absolute(config.val_captions);  // for `train --config` with the configuration of the best run
  make_absolute(config.val_thumbnails);
  make_absolute(arguments.test_images);
  make_absolute(arguments.test_texts);
  require_utf8(arguments);
  Json stored;
  std::optional<RunLock> lock;
  if (arguments.resume) {
    RunDirectory(config.out).require("sweep.json");
    lock.emplace(config.out, RunLock::Kind::kResumed, "sotalign sweep");
    const std::string path = RunDirectory(config.out).sweep();
    stored = read_json(path);
    if (!verify_checked_json(stored, path)) note_missing_checksums(path);
    stored = with_present_names(stored, arguments.table, path);
    continue_with(arguments, stored, path, given);
  } else {
    lock.emplace(config.out, RunLock::Kind::kNew, "sotalign sweep");
  }
  const std::vector<SweepRun> runs = plan_runs(arguments.space, arguments.table, config);
  check_each(runs, check_config);
  const SweepData data = read_data(arguments);
  Context context = make_training_context(config.machine);
  check_each(runs, [&](const TrainConfig& c) { check_training(context, data.training.view(), c.train); });
  return run_sweep(arguments, context, data, runs, stored, *lock);
}

}  // namespace

Action add_sweep(CLI::App& app) {
  const auto arguments = std::make_shared<SweepArguments>(app);
  OptionTable& table = arguments->table;
  const auto add = [&](const char* flag, auto&& target, const char* help, const char* type) {
    CLI::Option* option = app.add_option(flag, target, help)->type_name(type)->group("Sweep");
    table.common(option);
    return option;
  };
  const auto add_number = [&](const char* flag, const Target& target, const char* help) {
    return add(flag, setter(flag, target), help, "N")->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  const std::vector<CLI::Option*> own = {
      add("--vary", arguments->space.vary,
          "Values of an option, e.g. divergence_weight=0,10,30 or hidden=[],[512];\n"
          "repeat the flag to vary more options: every combination is trained",
          "KEY=V1,V2,...")
          ->allow_extra_args(false),
      add_number("--random", &arguments->space.random, "Number of random draws, instead of all combinations"),
      add("--range", arguments->space.range,
          "Range of an option to draw from: uniform, or log-uniform with :log", "KEY=LOW..HIGH[:log]")
          ->allow_extra_args(false),
      add_number("--sweep-seed", &arguments->space.seed, "Seed of the draws"),
      add("--test-images", arguments->test_images,
          "Images of the test pairs, used only on the selected model", "FILE"),
      add("--test-texts", arguments->test_texts, "Texts of the test pairs", "FILE"),
      add("--config", arguments->config_path, "JSON file of options, as for train; flags override it",
          "FILE")};
  for (const auto& [flag, path] : {std::pair{"--test-images", &arguments->test_images},
                                   {"--test-texts", &arguments->test_texts},
                                   {"--config", &arguments->config_path}})
    table.check_file(flag, path, Role::kPath);
  table.common(app.add_flag("--resume", arguments->resume, "Resume the sweep in --out")->group("Sweep"));
  add_number("--stop-after-runs", &arguments->stop_after_runs,
             "Stop after this many runs; --resume continues");
  add_train_options(table, arguments->config);
  // Hidden, but accepted in --config: train shares its configurations with sweep and uses these keys.
  for (const char* key : kOnlyOfTrain) app.get_option(flag_of(key))->group("");
  return [arguments, own] {
    for (const char* key : kOnlyOfTrain)
      if (!arguments->table.given(key, "options").empty())
        throw InvalidArgument(fmt::format(
            "{}: a sweep writes neither checkpoints nor logs, and its report has no examples", flag_of(key)));
    const auto given = [](const CLI::Option* option) { return option->count() > 0; };
    if (given(own[3]) && arguments->space.random == 0)
      throw InvalidArgument("--sweep-seed: expected --random with the number of draws, found none");
    const std::vector<std::string> flags = arguments->table.given_except(Role::kMachine);
    const bool options = std::any_of(flags.begin(), flags.end(), [](const auto& f) { return f != "--out"; });
    return run(*arguments, options || std::any_of(own.begin(), own.end(), given));
  };
}

}  // namespace sotalign::app
