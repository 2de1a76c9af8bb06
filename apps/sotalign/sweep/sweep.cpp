#include "sweep/sweep.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "cli/duration.h"
#include "cli/files.h"
#include "cli/json.h"
#include "cli/json_reader.h"
#include "run/checked_json.h"
#include "run/interrupt.h"
#include "run/progress.h"
#include "run/progress_line.h"
#include "run/remaining.h"
#include "run/run_directory.h"
#include "run/training.h"
#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"
#include "sotalign/version.h"
#include "sweep/page.h"
#include "sweep/results.h"

namespace sotalign::app {

Json SweepArguments::options() const {
  Json options = table.values();
  options.erase("out");
  for (const auto& [key, texts] : {std::pair{"vary", &space.vary}, {"range", &space.range}}) {
    options[key] = Json::array();
    for (const std::string& text : *texts) options[key].push_back(with_present_key(text, table));
  }
  options["random"] = space.random;
  options["sweep_seed"] = space.seed;
  options["test_images"] = test_images;
  options["test_texts"] = test_texts;
  return options;
}

Json with_present_names(Json stored, const OptionTable& table, const std::string& where) {
  if (!stored.is_object()) return stored;
  if (const auto options = stored.find("options"); options != stored.end() && options->is_object()) {
    *options = table.present_names(*options, where + ": options");
    for (const char* key : {"vary", "range"})
      if (const auto texts = options->find(key); texts != options->end() && texts->is_array())
        for (Json& text : *texts)
          if (text.is_string()) text = with_present_key(text.get<std::string>(), table);
  }
  if (const auto runs = stored.find("runs"); runs != stored.end() && runs->is_array())
    for (Json& run : *runs)
      if (run.is_object() && run.contains("settings"))
        run["settings"] = table.present_names(run["settings"], where + ": runs");
  return stored;
}

namespace {

std::vector<std::string> keys_of(const SweepRun& run) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : run.settings.items()) keys.push_back(key);
  return keys;
}

std::vector<Json> settings_of(const std::vector<SweepRun>& runs) {
  std::vector<Json> settings;
  settings.reserve(runs.size());
  for (const SweepRun& run : runs) settings.push_back(run.settings);
  return settings;
}

Json checksums_of(const SweepData& data) {
  Json sums = sotalign::checksums_of(data.training.view());
  sums["test_images"] = checksum(data.test_images.view());
  sums["test_texts"] = checksum(data.test_texts.view());
  return sums;
}

class Sweep {
 public:
  /// `stored` is the verified sweep.json of a sweep to resume, or null.
  Sweep(SweepArguments& arguments, Context& context, const SweepData& data, const std::vector<SweepRun>& runs,
        const Json& stored, RunLock& lock)
      : arguments_(arguments),
        lock_(lock),
        context_(context),
        data_(data),
        runs_(runs),
        directory_(arguments.config.out),
        options_(arguments.options()),
        checksums_(checksums_of(data)),
        results_(keys_of(runs.front()), settings_of(runs)),
        progress_(arguments.config.machine.quiet ? Progress::Verbosity::kQuiet
                                                 : Progress::Verbosity::kNormal) {
    if (stored.is_null()) return;
    const JsonReader reader(stored, file());
    if (reader.has("data")) require_same_data(reader.at("data"));  // sotalign 0.1 stored none
    results_.add_json(reader.at("runs"), reader.where("runs"));
    if (reader.has("test")) {
      test_ = reader.at("test");
      test_table();  // throw before the first run, not after the last
    }
  }

  int run() {
    catch_interrupts();
    save();
    lock_.begun();
    print_header();
    int64_t trained = 0;
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (const SweepResult* known = results_.find(runs_[i].settings)) {
        progress_.print(results_.table_row(i + 1, *known, ""));
        continue;
      }
      if (interrupted() || (arguments_.stop_after_runs > 0 && trained == arguments_.stop_after_runs))
        return stopped();
      if (!train(i)) return stopped();
      ++trained;
    }
    finish();
    if (lost_output().empty()) return 0;
    return say_left(progress_, "sotalign sweep",
                    fmt::format("the sweep is complete; to print its results: {}", resuming()));
  }

 private:
  std::string file() const { return directory_.path() + "/sweep.json"; }

  void require_same_data(const Json& stored) const {
    for (const auto& [key, value] : checksums_.items())
      if (!stored.is_object() || !stored.contains(key) || stored[key] != value)
        throw InvalidArgument(fmt::format(
            "{}: {}: expected the rows that the sweep began with, in the same order, found others", file(),
            key));
  }

  void print_header() {
    progress_.print("data      " + data_.training.describe());
    progress_.print("device    " + describe_device(context_, arguments_.config.machine));
    std::string text = fmt::format("sweep     {} runs", runs_.size());
    if (const auto asked = static_cast<size_t>(arguments_.space.random); asked > runs_.size())
      text += fmt::format(" ({} of {} draws repeat others)", asked - runs_.size(), asked);
    if (results_.size() > 0) text += fmt::format("; {} are done", results_.size());
    progress_.print(fmt::format("{}; selection by mean reciprocal rank on {} validation pairs\n\n{}", text,
                                data_.training.val_images.rows(), results_.table_head()));
  }

  /// False if it was interrupted.
  bool train(size_t i) {
    const SweepRun& run = runs_[i];
    arguments_.config = run.config;
    SweepResult result{.settings = run.settings, .validation = {}, .teacher = {}};
    std::unique_ptr<Trainer> trainer;
    progress_.set_seconds_after(seconds_after(i));
    const auto start = std::chrono::steady_clock::now();
    const auto fail = [&](const Error& error) { result.failure = error.what(); };
    try {
      trainer = naming_pairs(run.config.data.pairs_images, run.config.data.pairs_texts, [&] {
        return std::make_unique<Trainer>(context_, data_.training.view(), run.config.train);
      });
      data_.training.require_unchanged();
      if (!take_steps(*trainer, fmt::format("run {}/{}", i + 1, runs_.size()))) return false;
      result.teacher = trainer->validate_teacher();
      result.step = trainer->best_step();
      trainer->restore_best();
      const DataPaths& paths = run.config.data;
      result.validation = measure(context_, trainer->model(), Projection::kHeads, paths.val_images,
                                  data_.training.val_images, paths.val_texts, data_.training.val_texts);
    } catch (const NumericalError& error) {
      fail(error);
    } catch (const OutOfMemory& error) {
      fail(error);
    } catch (const InvalidArgument& error) {  // mistakes that show only when the teacher is fitted
      fail(error);
    }
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const bool better = results_.add(result);
    if (better) keep(*trainer, result.step);
    save();
    std::string remark = better ? "best so far" : "";
    if (const double left = seconds_after(i).value(); left > 0)
      remark += fmt::format("{}{} left", better ? ", " : "", duration(left));
    progress_.print(results_.table_row(i + 1, result, remark));
    return true;
  }

  /// What the runs after number i will take; unknown before the first has finished.
  std::optional<double> seconds_after(size_t i) const {
    const RunTimes::Kinds all = {""};
    RunTimes times;
    for (const SweepResult& result : results_.all()) times.add(all, result.seconds);
    std::vector<RunTimes::Kinds> runs;
    for (size_t next = i + 1; next < runs_.size(); ++next)
      if (results_.find(runs_[next].settings) == nullptr) runs.push_back(all);
    return times.estimate(runs);
  }

  bool take_steps(Trainer& trainer, const std::string& name) {
    trainer.validate();  // the initial weights are a candidate, too: they may be the teacher
    progress_.start(name, 0, trainer.options().steps);
    while (!trainer.finished()) {
      trainer.train_step();
      const int64_t step = trainer.steps_done();
      if (is_due(trainer, arguments_.config.validate_every)) {
        trainer.metrics();  // throws if training diverged
        trainer.validate();
      }
      if (progress_.due())
        progress_.update(step, fmt::format("{}  best MRR {:.3f}", loss_text(trainer.metrics().loss),
                                           std::max(0.0, trainer.best_score())));
      if (interrupted() && !trainer.finished()) return false;
    }
    return true;
  }

  /// Saves the model as `train` would, and the configuration with which `train` makes the same model.
  void keep(Trainer& trainer, int64_t step) {
    keep_choices(arguments_.config, trainer);
    save_model(not_a_link(directory_.model()), trainer, arguments_.config, arguments_.table, step);
    Json config = arguments_.table.values();
    config.erase("out");
    write_json(not_a_link(directory_.config()), config);
  }

  void save() const {
    Json json = {{"sotalign", version()},
                 {"device", to_string(context_.device())},
                 {"threads", context_.threads()},
                 {"options", options_},
                 {"data", checksums_},
                 {"runs", results_.to_json()}};
    const SweepResult* best = results_.best();
    json["selected"] = best == nullptr ? Json() : best->settings;
    if (!test_.is_null()) json["test"] = test_;
    write_checked_json(not_a_link(file()), json);
    write_text(not_a_link(directory_.path() + "/sweep.csv"), results_.to_csv());
    write_text(not_a_link(directory_.path() + "/sweep.svg"),
               sweep_plot(results_, arguments_.space.random == 0));
    write_text(not_a_link(directory_.report()), sweep_page(page()));
  }

  SweepPage page() const {
    SweepPage page{.results = results_,
                   .options = options_,
                   .planned = runs_.size(),
                   .facts = {{"data", data_.training.describe()},
                             {"validation", fmt::format("{} pairs", data_.training.val_images.rows())},
                             {"device", describe_device(context_, arguments_.config.machine)}},
                   .test_pairs = data_.test_images.rows()};
    if (!test_.is_null()) page.test_teacher = test_result("teacher"), page.test_model = test_result("model");
    return page;
  }

  int stopped() {
    return say_left(progress_, "sotalign sweep",
                    fmt::format("stopped after {} of {} runs; to continue: {}", results_.size(), runs_.size(),
                                resuming()));
  }

  std::string resuming() const { return fmt::format("sotalign sweep --out {} --resume", directory_.path()); }

  void finish() {
    const SweepResult* best = results_.best();
    if (best == nullptr)
      throw NumericalError(fmt::format("none of the {} runs succeeded; the first failed with: {}",
                                       runs_.size(), results_.all().front().failure));
    progress_.print(fmt::format("\nThe best run first; the model is from the run with {}, step {}\n\n{}\n",
                                settings_text(best->settings), best->step, results_.sorted_table()));
    if (data_.test_images.rows() > 0) test();
    progress_.print(fmt::format(
        "files     {}: report.html, model.safetensors, config.json, sweep.json, sweep.csv, sweep.svg",
        directory_.path()));
    progress_.print(fmt::format("next      sotalign train --config {} --out RUN", directory_.config()));
  }

  /// Measures once: resuming a finished sweep shows the stored figures.
  void test() {
    if (test_.is_null()) {
      const Model model = load_model(context_, directory_.model());
      const auto result = [&](Projection projection) {
        return to_json(measure(context_, model, projection, arguments_.test_images, data_.test_images,
                               arguments_.test_texts, data_.test_texts));
      };
      test_ = {{"model", result(Projection::kHeads)}, {"teacher", result(Projection::kTeacher)}};
      save();
    }
    progress_.print(
        fmt::format("Retrieval on {} test pairs, percent\n\n{}", data_.test_images.rows(), test_table()));
  }

  /// Throws InvalidArgument if a resumed sweep.json has something else under "test".
  RetrievalResult test_result(const char* key) const {
    const JsonReader reader(test_, file() + ": test", {"model", "teacher"});
    return retrieval_of_json(reader.at(key), reader.where(key));
  }
  std::string test_table() const {
    return retrieval_table({{"teacher", test_result("teacher")}, {"model", test_result("model")}});
  }

  SweepArguments& arguments_;
  RunLock& lock_;
  Context& context_;
  const SweepData& data_;
  const std::vector<SweepRun>& runs_;
  const RunDirectory directory_;
  const Json options_, checksums_;
  SweepResults results_;
  Json test_;
  Progress progress_;
};

}  // namespace

int run_sweep(SweepArguments& arguments, Context& context, const SweepData& data,
              const std::vector<SweepRun>& runs, const Json& stored, RunLock& lock) {
  return Sweep(arguments, context, data, runs, stored, lock).run();
}

}  // namespace sotalign::app
