// sotalign study: the paper's comparisons on embeddings whose pairs are all known. Every method is tuned on
// validation rows, over grids of equal size; the tables in study.md are measured on test rows that played no
// part in tuning.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/json.h"
#include "cli/parse_json.h"
#include "commands/command.h"
#include "run/interrupt.h"
#include "run/run_directory.h"
#include "run/run_lock.h"
#include "sotalign/core/error.h"
#include "study/study.h"

namespace sotalign::app {

namespace {

struct StudyArguments {
  explicit StudyArguments(CLI::App& app) : table(app) {}

  StudyConfig config;
  OptionTable table;
  bool resume = false, dry_run = false;
};

StudyPlan read_plan(const std::string& path) {
  return path.empty() ? parse_study_plan(parse_json(default_study_plan(), "plan"), "plan")
                      : parse_study_plan(read_json(path), path);
}

/// The command line that repeats this study.
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

void make_paths_absolute(StudyConfig& config) {
  for (std::string* path : {&config.files.images, &config.files.texts, &config.files.other_images,
                            &config.files.other_texts, &config.plan})
    if (!path->empty()) *path = std::filesystem::absolute(*path).lexically_normal();
}

/// Whether there is a study.json. A study killed before writing it has none. Throws IoError if study.md shows
/// that the file is missing.
bool find_runs(const RunDirectory& directory) {
  if (std::filesystem::exists(directory.study())) return true;
  const std::string report = directory.path() + "/study.md";
  if (std::filesystem::exists(report))
    throw IoError(
        fmt::format("{}: expected the runs that {} reports on, found no such file; restore it, or "
                    "start again in another directory",
                    directory.study(), report));
  return false;
}

int run(StudyArguments& arguments) {
  StudyConfig& config = arguments.config;
  std::vector<Needed> needed;
  if (!arguments.resume) needed = {{config.files.images, "images"}, {config.files.texts, "texts"}};
  if (!arguments.dry_run) needed.emplace_back(config.out, "out");
  require(needed);
  RunDirectory directory(config.out);
  std::string plan_path = config.plan;
  std::optional<RunLock> lock;
  bool has_runs = false;
  if (arguments.resume) {
    directory.require("config.json");
    if (!arguments.dry_run) lock.emplace(config.out, RunLock::Kind::kResumed, "sotalign study");
    arguments.table.read_config(directory.config());
    has_runs = find_runs(directory);
    // A kill between config.json and plan.json leaves no plan.json: use the plan that config.json names.
    if (plan_path.empty())
      plan_path = std::filesystem::exists(directory.plan()) ? directory.plan() : config.plan;
  } else if (!arguments.dry_run) {
    lock.emplace(config.out, RunLock::Kind::kNew, "sotalign study");
  }
  require({{config.files.images, "images"}, {config.files.texts, "texts"}});
  const std::string command = command_of(arguments.table);
  make_paths_absolute(config);
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
  // A new study writes config.json first, because --resume needs it. A resumed one writes plan.json first,
  // because that file takes precedence over the plan that config.json names.
  if (arguments.resume) save_plan();
  write_json(not_a_link(directory.config()), arguments.table.values());
  lock->begun();
  if (!arguments.resume) save_plan();
  Progress progress(config.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal);
  if (arguments.resume && !has_runs) progress.print("resume    no run was saved; starting with the first");
  const std::string resuming = fmt::format("sotalign study --out {} --resume", config.out);
  if (!study.run(command)) return say_left(progress, "sotalign study", "stopped; to continue: " + resuming);
  if (lost_output().empty()) return 0;
  return say_left(progress, "sotalign study", "the study is complete; to print its summary: " + resuming);
}

}  // namespace

Action add_study(CLI::App& app) {
  const auto arguments = std::make_shared<StudyArguments>(app);
  StudyConfig& config = arguments->config;
  OptionTable& table = arguments->table;
  table.common(app.add_flag("--resume", arguments->resume,
                            "Resume the study in --out with its options and plan; flags override them,\n"
                            "and finished runs that are still needed are not repeated"));
  table.common(app.add_flag("--dry-run", arguments->dry_run, "Print how many runs there are, and run none"));
  table.section("Data");
  table.add("images", &config.files.images, "Image embeddings, one per row", Role::kPath);
  table.common();
  table.add("texts", &config.files.texts, "Text embeddings; row i is paired with image row i", Role::kPath);
  table.common();
  table.add("other_images", &config.files.other_images,
            "Unpaired images from another source, for the shift section", Role::kPath);
  table.add("other_texts", &config.files.other_texts, "Unpaired texts from another source", Role::kPath);
  table.add("test", &config.sizes.test, "Number of test rows, to measure on");
  table.common();
  table.add("validation", &config.sizes.validation, "Number of validation rows, to choose settings on");
  table.common();
  table.section("Study");
  table.add("out", &config.out, "Directory for this study; it is created", Role::kDirectory);
  table.common();
  table.add("plan", &config.plan, "JSON file of methods, grids and sections; default: the built-in plan",
            Role::kPath);
  table.common();
  table.add("sections", &config.sections,
            "Sections of the plan to run: methods, teachers, unpaired, shift; all: those of the plan");
  table.common();
  table.add("seeds", &config.seeds.final,
            "Seeds of the final runs: one split and training each, measured on test rows");
  table.common();
  table.add("tuning_seeds", &config.seeds.tuning, "Seeds of the tuning runs, measured on validation rows");
  add_machine_options(table, config.machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
