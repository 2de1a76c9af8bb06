#include "study/study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <fstream>
#include <set>

#include "cli/duration.h"
#include "cli/files.h"
#include "cli/json.h"
#include "cli/report.h"
#include "run/interrupt.h"
#include "run/remaining.h"
#include "run/run_directory.h"
#include "sotalign/core/error.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

/// The sections of the plan that `text` names, in its order; "all": all of them.
std::vector<std::string> chosen_sections(const std::string& text, const StudyPlan& plan) {
  if (text == "all") return plan.sections();
  std::vector<std::string> names;
  for (size_t first = 0; first <= text.size();) {
    const size_t comma = std::min(text.find(',', first), text.size());
    names.push_back(text.substr(first, comma - first));
    if (std::count(names.begin(), names.end(), names.back()) > 1)
      throw InvalidArgument(fmt::format("sections: expected distinct ones, found '{}' twice", names.back()));
    first = comma + 1;
  }
  return names;
}

/// "NAME, " from /proc/cpuinfo; empty if it is not there.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2) + ", ";
  return "";
}

/// "SAIL, 300 pairs, 250 unpaired"
std::string describe(const StudyRun& run) {
  std::string text = fmt::format("{}, {} pairs", run.method->name, run.pairs);
  if (run.unpaired.kind != UnpairedRows::Kind::kAll)
    text += fmt::format(", {} unpaired", run.unpaired.is_none() ? "none" : app::describe(run.unpaired));
  return text;
}

}  // namespace

Study::Study(const StudyConfig& config, StudyPlan plan)
    : config_(config),
      plan_(std::move(plan)),
      context_(make_training_context(config.machine)),
      data_(config.files),
      sizes_(config.sizes),
      progress_(config.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal) {
  sizes_.rows = data_.rows();
  sizes_.has_other = data_.has_other();
  check_seeds();
  for (const auto& [name, value] : {std::pair{"test", sizes_.test}, {"validation", sizes_.validation}})
    if (value < 1 || value > sizes_.rows)
      throw InvalidArgument(
          fmt::format("{}: expected 1 to {}, the number of rows, found {}", name, sizes_.rows, value));
  cells_ = study_cells(plan_, chosen_sections(config.sections, plan_), sizes_);
  schedule_ = schedule(cells_, config.seeds);
  check_settings();
  results_.emplace(RunDirectory(config.out).path() + "/study.json", header());
}

void Study::check_seeds() const {
  const auto check = [](const char* name, const std::vector<int64_t>& seeds) {
    require_few_seeds(name, seeds);
    for (const int64_t seed : seeds) {
      if (seed < 0) throw InvalidArgument(fmt::format("{}: expected numbers >= 0, found {}", name, seed));
      if (std::count(seeds.begin(), seeds.end(), seed) > 1)
        throw InvalidArgument(fmt::format("{}: expected distinct ones, found {} twice", name, seed));
    }
  };
  check("seeds", config_.seeds.final);
  check("tuning_seeds", config_.seeds.tuning);
}

void Study::check_settings() {
  // A few rows show whether a trainer accepts the options, except for the teacher's dimension, which the
  // number of pairs limits.
  constexpr int64_t kRows = 64;
  std::set<std::string> seen;
  for (const StudyCell& cell : cells_)
    for (const StudySetting& setting : cell.method.settings) {
      const int64_t dim = setting.options.teacher.dim.value_or(0);
      const int64_t pairs = std::min(cell.pairs, std::max(kRows, dim + 1));
      const int64_t unpaired = cell.unpaired.is_none() ? 0 : std::min(kRows, sizes_.pool() - cell.pairs);
      if (!seen.insert(fmt::format("{} {} {}", setting.values.dump(), pairs, unpaired)).second) continue;
      const Dataset data = data_.first_rows(pairs, unpaired);
      try {
        TrainOptions options = setting.options;
        options.teacher.contrastive.steps = std::min<int64_t>(1, options.teacher.contrastive.steps);
        // What a choice or passes would reject, check_training() rejects for any teacher.
        if (options.teacher.kind == TeacherKind::kAuto) options.teacher.kind = TeacherKind::kCca;
        options.self_training.passes = std::min<int64_t>(1, options.self_training.passes);
        const Trainer trainer(context_, data.view(), options);
      } catch (const InvalidArgument& error) {
        throw InvalidArgument(fmt::format("plan: section {}: {}: {}: {}", cell.section, cell.method.name,
                                          describe_options(setting.point), error.what()));
      }
    }
}

Json Study::header() const {
  return {{"sotalign", version()},
          {"images", config_.files.images},
          {"texts", config_.files.texts},
          {"fingerprint", data_.fingerprint()},
          {"rows", sizes_.rows},
          {"test", sizes_.test},
          {"validation", sizes_.validation},
          {"device", to_string(context_.device())},
          {"threads", context_.threads()},
          {"defaults", training_defaults()},
          {kHubnessKey, hubness_json(HubnessOptions{})}};
}

std::string Study::overview() const {
  std::string text = fmt::format("  {:10}{:>8}{:>8}{:>8}", "section", "cells", "tuning", "final");
  const auto count = [&](const std::string& section, StudyRole role) {
    return std::count_if(schedule_.begin(), schedule_.end(), [&](const ScheduledRun& run) {
      return run.cell->section == section && run.role == role;
    });
  };
  const std::vector<std::string> sections = chosen_sections(config_.sections, plan_);
  for (const std::string& section : sections)
    text += fmt::format("\n  {:10}{:>8}{:>8}{:>8}", section,
                        std::count_if(cells_.begin(), cells_.end(),
                                      [&](const StudyCell& cell) { return cell.section == section; }),
                        count(section, StudyRole::kTuning), count(section, StudyRole::kFinal));
  if (std::find(sections.begin(), sections.end(), "methods") != sections.end())
    for (const int64_t pairs : pairs_left_out(*plan_.methods, sizes_))
      text += fmt::format("\nleft out: methods with {} pairs, for which there are too few rows", pairs);
  return text + fmt::format("\n{} runs; a run that sections share is counted in the first of them",
                            schedule_.size());
}

void Study::resume() { results_->resume(); }

bool Study::run(const std::string& command) {
  progress_.print("device    " + describe_device(context_, config_.machine));
  progress_.print(overview());
  results_->write(Json::array());
  for (size_t i = 0; i < schedule_.size(); ++i) {
    const StudyCell* cell = schedule_[i].cell;
    const bool tuning = schedule_[i].role == StudyRole::kTuning;
    const StudyRun run = run_of(schedule_[i]).value();  // its tuning runs came before
    if (results_->find(run) != nullptr) continue;
    if (interrupted()) return false;
    progress_.set_seconds_after(seconds_after(i));
    const std::string name = fmt::format("{}/{} {}", i + 1, schedule_.size(), describe(run));
    StudyResult result;
    try {
      result = execute(run, name);
    } catch (const Interrupted&) {
      progress_.clear();
      return false;
    }
    results_->add(cell->section, run, result);
    const double left = seconds_after(i).value();
    progress_.print(fmt::format(
        "{:>4}/{}  {:8}  {}, seed {}, {}: {}  {}{}", i + 1, schedule_.size(), cell->section, describe(run),
        run.seed, describe_options(run.setting->point),
        result.error.empty() ? (tuning ? fmt::format("validation {} {:.1f}", title(results_->selection()),
                                                     100 * results_->score(result.retrieval))
                                       : fmt::format("MeanR@1 {:.1f}", 100 * result.retrieval.mean_r1))
                             : result.error,
        duration(result.seconds), left > 0 ? fmt::format("  {} left", duration(left)) : ""));
  }
  report(command);
  return true;
}

std::optional<StudyRun> Study::run_of(const ScheduledRun& scheduled) const {
  const auto& [cell, role, setting, seed] = scheduled;
  if (role == StudyRole::kTuning) return tuning_run(*cell, setting, seed);
  for (size_t i = 0; cell->is_tuned() && i < cell->method.settings.size(); ++i)
    for (const int64_t tuning_seed : config_.seeds.tuning)
      if (results_->find(tuning_run(*cell, i, tuning_seed)) == nullptr) return std::nullopt;
  return final_run(*cell, select_setting(*results_, *cell, config_.seeds).selected, seed);
}

StudyResult Study::execute(const StudyRun& run, const std::string& name) {
  const auto start = std::chrono::steady_clock::now();
  StudyResult result;
  const StudyData::Rows rows = data_.rows(sizes_, run);
  const bool is_final = run.role == StudyRole::kFinal;
  TrainOptions options = run.setting->options;
  options.seed = run.seed;
  try {
    const Trainer trainer = naming_pairs(config_.files.images, config_.files.texts, [&] {
      return train_experiment(context_, rows.data, options, name, progress_);
    });
    const Measured measured =
        measure_trained(context_, trainer, run.method->measured, rows.measured,
                        // Its settings are the header's.
                        {.kind = is_final ? Hubness::kDbs : Hubness::kNone, .seed = run.seed});
    result.retrieval = measured.plain;
    result.dbs = measured.corrected;
  } catch (const NumericalError& error) {
    result.error = error.what();
    if (is_final && rows.data.images.rows() > 0) result.dbs.emplace();
  }
  if (run.unpaired.is_shifted() && is_final) result.shift = StudyData::shift(context_, rows);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::optional<double> Study::seconds_after(size_t index) const {
  // A run takes about as long as others of the method at the same number of pairs; else, of the method.
  const auto kinds = [](const std::string& method, const std::string& pairs) -> RunTimes::Kinds {
    return {fmt::format("{}, {} pairs", method, pairs), method, ""};
  };
  RunTimes times;
  for (const Json& record : results_->records())
    times.add(kinds(record["method"].get<std::string>(), record["key"]["pairs"].dump()),
              record["seconds"].get<double>());
  std::vector<RunTimes::Kinds> runs;
  for (size_t i = index + 1; i < schedule_.size(); ++i)
    if (const auto run = run_of(schedule_[i]); !run || results_->find(*run) == nullptr)
      runs.push_back(kinds(schedule_[i].cell->method.name, fmt::format("{}", schedule_[i].cell->pairs)));
  return times.estimate(runs);
}

void Study::report(const std::string& command) {
  std::vector<StudyEntry> entries;
  Json cells = Json::array();
  for (const StudyCell& cell : cells_) {
    entries.push_back(entry_of(*results_, cell, config_.seeds));
    cells.push_back(to_json(entries.back()));
  }
  results_->write(cells);
  StudyFacts facts{.images = config_.files.images,
                   .texts = config_.files.texts,
                   .command = command,
                   .machine = fmt::format("{}{}; sotalign {}", processor_name(),
                                          describe_device(context_, config_.machine), version()),
                   .image_dim = data_.image_dim(),
                   .text_dim = data_.text_dim(),
                   .sizes = sizes_,
                   .seeds = config_.seeds,
                   .runs = static_cast<int64_t>(results_->records().size()),
                   .seconds = results_->seconds(),
                   .selection = results_->selection()};
  facts.lack_dbs = std::any_of(entries.begin(), entries.end(), [&](const StudyEntry& entry) {
    const bool has_bank = !entry.cell->unpaired.is_none() && entry.cell->pairs < sizes_.pool();
    return has_bank && entry.dbs_mean_r1.empty();
  });
  for (const Json& record : results_->records())
    if (record.contains("error"))
      facts.errors.push_back(fmt::format("{}: {}", record["key"].dump(), record["error"].get<std::string>()));
  for (const StudyPlot& plot : study_plots(plan_, entries, sizes_))
    write_text(not_a_link(config_.out + "/" + plot.file), plot.svg);
  const std::string markdown = study_markdown(plan_, entries, facts);
  write_text(not_a_link(config_.out + "/study.md"), markdown);
  write_text(not_a_link(config_.out + "/report.html"),
             study_page(config_.out, markdown, study_plots(plan_, entries, sizes_, kPagePlot), plan_.json));
  progress_.print(
      fmt::format("files     {}: report.html, study.md, study.json, plan.json and plots; the runs took {}",
                  config_.out, duration(results_->seconds())));
}

}  // namespace sotalign::app
