// sotalign study: the paper's comparisons on embeddings whose pairs are all known. Every method is tuned on
// validation rows over a grid of the same size; the tables of study.md are of test rows that had no part in
// it.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/parse_json.h"
#include "commands/command.h"
#include "run/interrupt.h"
#include "run/run_directory.h"
#include "run/run_lock.h"
#include "sotalign/core/error.h"
#include "study/study.h"

namespace sotalign::app {

namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  explicit Arguments(CLI::App& app) : table(app) {}

  StudyConfig config;
  OptionTable table;
  bool resume = false, dry_run = false;
};

StudyPlan read_plan(const std::string& path) {
  return path.empty() ? parse_study_plan(parse_json(default_study_plan(), "plan"), "plan")
                      : parse_study_plan(read_json(path), path);
}

/// What gives the same study again.
std::string command_of(const OptionTable& table) {
  std::string text = "sotalign study";
  const Json values = table.values();
  for (const auto& [key, value] : values.items()) {
    std::string flag = key, shown = value.is_string() ? value.get<std::string>() : value.dump();
    if (shown.empty() || key == "quiet" || key == "device" || key == "threads") continue;
    std::replace(flag.begin(), flag.end(), '_', '-');
    std::erase_if(shown, [](char c) { return c == '[' || c == ']'; });
    text += fmt::format(" --{} {}", flag, shown);
  }
  return text;
}

void make_absolute(StudyConfig& config) {
  for (std::string* path : {&config.files.images, &config.files.texts, &config.files.other_images,
                            &config.files.other_texts, &config.plan})
    if (!path->empty()) *path = std::filesystem::absolute(*path).lexically_normal();
}

/// Whether there is a study.json; a kill in front of the first one leaves none. Throws IoError if there has
/// been one.
bool find_runs(const RunDirectory& directory) {
  if (std::filesystem::exists(directory.study())) return true;
  const std::string report = directory.path() + "/study.md";
  if (std::filesystem::exists(report))
    throw IoError(
        fmt::format("{}: expected the runs of the study that {} is of, found no such file; put it "
                    "back, or start again in another directory",
                    directory.study(), report));
  return false;
}

int run(Arguments& arguments) {
  StudyConfig& config = arguments.config;
  if (!arguments.dry_run) require(config.out, "out");
  RunDirectory directory(config.out);
  std::string plan_path = config.plan;
  std::optional<RunLock> lock;
  bool has_runs = false;
  if (arguments.resume) {
    directory.require("config.json");
    if (!arguments.dry_run) lock.emplace(config.out, RunLock::Kind::kResumed, "sotalign study");
    arguments.table.read_config(directory.config());
    has_runs = find_runs(directory);
    // A kill may have come between config.json and plan.json: then the plan is still the one in the former.
    if (plan_path.empty())
      plan_path = std::filesystem::exists(directory.plan()) ? directory.plan() : config.plan;
  } else if (!arguments.dry_run) {
    lock.emplace(config.out, RunLock::Kind::kNew, "sotalign study");
  }
  require(config.files.images, "images");
  require(config.files.texts, "texts");
  const std::string command = command_of(arguments.table);
  make_absolute(config);
  arguments.table.require_utf8();
  const StudyPlan plan = read_plan(plan_path);
  Study study(config, plan);
  if (arguments.dry_run) {
    fmt::print("{}\n", study.overview());
    return 0;
  }
  if (has_runs) study.resume();
  catch_interrupts();
  const auto save_plan = [&] { write_json(not_a_link(directory.plan()), plan.json); };
  // config.json is what a study can be continued from; until then the plan there is that of the runs so far.
  if (arguments.resume) save_plan();
  write_json(not_a_link(directory.config()), arguments.table.values());
  lock->begun();
  if (!arguments.resume) save_plan();
  Progress progress(config.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal);
  if (arguments.resume && !has_runs)
    progress.print("resume    no run was saved; starting with the first one");
  const std::string resuming = fmt::format("sotalign study --out {} --resume", config.out);
  if (!study.run(command)) return say_left(progress, "sotalign study", "stopped; to continue: " + resuming);
  if (lost_output().empty()) return 0;
  return say_left(progress, "sotalign study", "the study is complete; to go through it again: " + resuming);
}

}  // namespace

Action add_study(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>(app);
  app.add_flag("--resume", arguments->resume,
               "Go on with the study in --out, with its options and plan; flags win, and\n"
               "runs that are done and still wanted are not run again");
  app.add_flag("--dry-run", arguments->dry_run, "Say how many runs there are, and do none");
  StudyConfig& config = arguments->config;
  OptionTable& table = arguments->table;
  table.section("Data");
  table.add("images", &config.files.images, "Images, one row each", Role::kPath);
  table.add("texts", &config.files.texts, "Texts: row i belongs to row i", Role::kPath);
  table.add("other_images", &config.files.other_images, "Unpaired images from elsewhere, for section shift",
            Role::kPath);
  table.add("other_texts", &config.files.other_texts, "Unpaired texts from elsewhere", Role::kPath);
  table.add("test", &config.sizes.test, "Rows to measure on");
  table.add("validation", &config.sizes.validation, "Rows to choose settings on");
  table.section("Study");
  table.add("out", &config.out, "Directory of this study, made here", Role::kPath);
  table.add("plan", &config.plan, "JSON file of methods, grids and sections; none: the one that is built in",
            Role::kPath);
  table.add("sections", &config.sections, "Which of them");
  table.add("seeds", &config.seeds.final, "One split and training for each, measured on its test rows");
  table.add("tuning_seeds", &config.seeds.tuning, "The same, measured on its validation rows");
  add_machine_options(table, config.machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
