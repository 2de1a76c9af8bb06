// sotalign train: checks all options and data, creates the run directory, then trains. An interrupted run
// resumes from the files on disk (--resume) and gives the same bits as an uninterrupted one.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/duration.h"
#include "cli/files.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/inputs.h"
#include "report/train_page.h"
#include "run/interrupt.h"
#include "run/metrics_table.h"
#include "run/phase_timer.h"
#include "run/progress.h"
#include "run/progress_line.h"
#include "run/run_directory.h"
#include "run/run_lock.h"
#include "run/training.h"
#include "run/training_plan.h"
#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"

namespace sotalign::app {

namespace {

struct TrainArguments {
  explicit TrainArguments(CLI::App& app) : table(app) {}

  TrainConfig config;
  OptionTable table;
  std::string config_path;
  bool resume = false, plan = false;
  std::string json;
  int64_t stop_after = 0;  // 0: do not stop
};

std::string percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

class Training {
 public:
  Training(TrainArguments& arguments, Context& context, const Dataset& data, const ShownPairs& shown,
           PhaseTimer& phases, RunLock& lock)
      : arguments_(arguments),
        lock_(lock),
        config_(arguments.config),
        run_(config_.out),
        context_(context),
        data_(data),
        shown_(shown),
        phases_(phases),
        trainer_(context, data.view(), config_.train),
        progress_(config_.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal) {}

  int run() {
    data_.require_unchanged();
    const bool has_checkpoint = arguments_.resume && find_checkpoint();
    CheckpointInfo checkpoint{.verified = true};
    if (has_checkpoint) checkpoint = trainer_.load_checkpoint(run_.checkpoint());
    if (!checkpoint.verified) note_missing_checksums(run_.checkpoint());
    if (arguments_.stop_after > 0 && arguments_.stop_after <= trainer_.steps_done())
      throw InvalidArgument(
          fmt::format("--stop-after: expected more than the {} steps already done, found {}",
                      trainer_.steps_done(), arguments_.stop_after));
    const TeacherOptions asked = config_.train.teacher;
    keep_choices(arguments_.config, trainer_);
    catch_interrupts();
    // Without a checkpoint the run starts here, with the options of this process.
    if (!has_checkpoint) write_json(not_a_link(run_.config()), arguments_.table.values());
    lock_.begun();
    Json teacher;
    if (trainer_.teacher_search()) teacher = to_json(*trainer_.teacher_search(), asked);
    if (trainer_.teacher_choice()) teacher["choice"] = to_json(*trainer_.teacher_choice());
    if (!teacher.is_null()) write_json(not_a_link(run_.teacher()), teacher);
    metrics_ =
        std::make_unique<MetricsFile>(run_.metrics(), trainer_.steps_done(), checkpoint.notes["metrics"]);
    print_header();
    // The initial weights are a candidate, too: they may be the teacher.
    if (trainer_.has_validation() && trainer_.steps_done() == 0) {
      const auto visit = phases_.visit("validation");
      trainer_.validate();
    }
    phases_.enter("training steps");
    progress_.start("train", trainer_.steps_done(), config_.train.steps);
    while (!trainer_.finished()) {
      trainer_.train_step();
      const int64_t step = trainer_.steps_done();
      const bool stop = interrupted() || step == arguments_.stop_after;
      if (is_due(trainer_, config_.log_every)) log_step();
      if (trainer_.has_validation() && is_due(trainer_, config_.validate_every)) validate();
      if (progress_.due()) progress_.update(step, numbers(trainer_.metrics()));
      if (stop || is_due(trainer_, config_.checkpoint_every)) save_checkpoint();
      if (stop && !trainer_.finished()) return stopped();
    }
    finish();
    if (lost_output().empty()) return 0;
    return say_left(progress_, "sotalign train",
                    fmt::format("the run is complete; to print its results: {}", resuming()));
  }

 private:
  /// Whether there is a checkpoint to resume from. A run killed before its first one has none.
  bool find_checkpoint() const {
    if (std::filesystem::exists(std::filesystem::symlink_status(run_.checkpoint()))) {
      run_.require("checkpoint.safetensors");
      return true;
    }
    run_.require_no_checkpoint_lost();
    return false;
  }

  std::string resuming() const { return fmt::format("sotalign train --out {} --resume", run_.path()); }

  double seconds() const {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now() - started_;
    return now.count() + (metrics_ ? metrics_->seconds_before() : 0.0);
  }

  void print_header() {
    print_fact("data", data_.describe());
    if (trainer_.row_memory().memory == RowMemory::kStreamed) {
      progress_.print("          unpaired rows " + trainer_.row_memory().reason);
      facts_.emplace_back("unpaired rows", trainer_.row_memory().reason);
    }
    print_fact("device", describe_device(context_, config_.machine));
    const Model& model = trainer_.model();
    print_fact("teacher", describe(*model.teacher, config_.train.teacher));
    if (const std::vector<PassReport>& passes = trainer_.teacher_passes(); !passes.empty())
      progress_.print(fmt::format("          {} passes of self-training, the last changed it by {:.3f}",
                                  passes.size(), passes.back().change));
    if (trainer_.teacher_search()) progress_.print(search_table(*trainer_.teacher_search()));
    if (trainer_.teacher_choice()) print_fact("chosen", trainer_.teacher_choice()->reason);
    if (trainer_.has_validation()) {
      const auto visit = phases_.visit("validation");
      teacher_result_ = trainer_.validate_teacher();
      progress_.print(fmt::format("          MeanR@1 {}, MRR {:.3f} on {} validation pairs",
                                  percent(teacher_result_.mean_r1), teacher_result_.mean_reciprocal_rank,
                                  data_.val_images.rows()));
    }
    print_fact("model", fmt::format("{} parameters, {} dimensions; {}", model.parameters.size(),
                                    model.dim(Projection::kHeads), describe(config_.train)));
    if (trainer_.affinity_memory()) print_fact("klot", "affinities " + trainer_.affinity_memory()->reason);
    if (context_.device().kind == DeviceKind::kCuda)
      print_fact("math", fmt::format("{} in the products of a step", to_string(config_.train.math)));
    else if (config_.train.math != ProductMath::kFp32 && !arguments_.table.given("math", "train").empty())
      progress_.print("math      fp32, as always on the CPU");
    if (!arguments_.resume) return;
    progress_.print(
        trainer_.steps_done() == 0
            ? std::string("resume    no checkpoint was saved; starting at step 0")
            : fmt::format("resume    {} of {} steps are done", trainer_.steps_done(), config_.train.steps));
  }

  std::string numbers(const StepMetrics& m) const {
    std::string text = loss_text(m.loss);
    if (trainer_.best_step() >= 0) text += fmt::format("  best MRR {:.3f}", trainer_.best_score());
    return text;
  }

  void log_step() {
    const StepMetrics m = trainer_.metrics();
    Json line = {{"type", "step"}};
    line.update(to_json(m));
    line["seconds"] = seconds();
    metrics_->add(line);
    if (progress_.has_bar()) return;
    progress_.print(fmt::format("step {:>6}/{}  {}  {:.2f} steps/s  {} left", m.step, config_.train.steps,
                                numbers(m), progress_.steps_per_second(m.step),
                                duration(progress_.remaining_seconds(m.step).value())));
  }

  void validate() {
    const auto visit = phases_.visit("validation");
    const RetrievalResult result = trainer_.validate();
    metrics_->add({{"type", "validation"},
                   {"step", trainer_.steps_done()},
                   {"validation", to_json(result)},
                   {"seconds", seconds()}});
  }

  void save_checkpoint() {
    const auto visit = phases_.visit("saving");
    trainer_.metrics();  // throws if training diverged: keep the older checkpoint then
    metrics_->sync();
    trainer_.save_checkpoint(not_a_link(run_.checkpoint()), {{"metrics", metrics_->state()}});
  }

  int stopped() {
    write_report();
    return say_left(progress_, "sotalign train",
                    fmt::format("stopped after step {} of {}; to continue: {}", trainer_.steps_done(),
                                config_.train.steps, resuming()));
  }

  void finish() {
    Json summary = metrics_->last_step();
    summary.erase("type");
    const int64_t model_step = trainer_.has_validation() ? trainer_.best_step() : trainer_.steps_done();
    summary["model_step"] = model_step;
    std::string table;
    if (trainer_.has_validation()) {
      phases_.enter("validation");
      trainer_.restore_best();
      const RetrievalResult result =
          measure(context_, trainer_.model(), Projection::kHeads, config_.data.val_images, data_.val_images,
                  config_.data.val_texts, data_.val_texts);
      model_result_ = result;
      summary["validation"] = to_json(result);
      summary["validation_teacher"] = to_json(teacher_result_);
      const bool began_as_teacher = effective_method(config_.train).closed_form ||
                                    trainer_.options().initialization == Initialization::kTeacher;
      origin_ = model_step == 0 && began_as_teacher ? "the model is the teacher, as no step was better"
                                                    : fmt::format("model from step {}", model_step);
      table = fmt::format("\nRetrieval on {} validation pairs, percent; {}\n\n{}", data_.val_images.rows(),
                          origin_, retrieval_table({{"teacher", teacher_result_}, {"model", result}}));
    }
    summary["seconds"] = seconds();
    summary["device"] = to_string(context_.device());
    summary["threads"] = context_.threads();
    phases_.enter("saving");
    metrics_->sync();
    save_model(not_a_link(run_.model()), trainer_, config_, arguments_.table, model_step);
    write_json(not_a_link(run_.summary()), summary);
    write_report();
    progress_.print(
        fmt::format("{}\nfiles     {}: report.html, model.safetensors, metrics.jsonl, metrics.csv, "
                    "summary.json, config.json",
                    table, run_.path()));
    progress_.print(fmt::format(
        "next      sotalign eval --model {} --images TEST_IMAGES.npy --texts TEST_TEXTS.npy", run_.model()));
  }

  /// Pictures and a table of what has happened so far.
  void write_report() {
    phases_.enter("this page");
    const MetricsTable metrics = MetricsTable::read(run_.metrics());
    write_text(not_a_link(run_.metrics_csv()), metrics.csv());
    TrainPage page{.name = run_.path(),
                   .metrics = metrics,
                   .facts = facts_,
                   .options = arguments_.table.values(),
                   .pairs = shown_,
                   .phases = phases_,
                   .origin = origin_,
                   .model = model_result_};
    if (trainer_.has_validation()) page.teacher = teacher_result_;
    write_text(not_a_link(run_.report()), train_page(context_, trainer_, page));
  }

  /// Prints "NAME      VALUE" and keeps it for the report.
  void print_fact(const std::string& name, const std::string& value) {
    progress_.print(fmt::format("{:10}{}", name, value));
    facts_.emplace_back(name, value);
  }

  TrainArguments& arguments_;
  RunLock& lock_;
  const TrainConfig& config_;
  RunDirectory run_;
  Context& context_;
  const Dataset& data_;
  const ShownPairs& shown_;
  PhaseTimer& phases_;
  Trainer trainer_;
  Progress progress_;
  std::unique_ptr<MetricsFile> metrics_;
  Facts facts_;         // for the report
  std::string origin_;  // of the model
  RetrievalResult teacher_result_;
  std::optional<RetrievalResult> model_result_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

void require_steps_of_effect(const TrainArguments& arguments) {
  const TrainConfig& config = arguments.config;
  if (effective_method(config.train).closed_form && !arguments.table.given("steps", "train").empty())
    throw InvalidArgument(
        fmt::format("--steps: has no effect on {}, whose steps are passes: use --self-training-passes",
                    config.train.method));
}

/// Everything but --out is as for a run.
int plan(TrainArguments& arguments) {
  if (arguments.resume) throw InvalidArgument("--plan: not allowed with --resume, which goes on with a run");
  if (arguments.stop_after != 0) throw InvalidArgument("--stop-after: has no effect with --plan");
  if (!arguments.config_path.empty()) arguments.table.read_config(arguments.config_path);
  check_config_to_plan(arguments.config);
  require_steps_of_effect(arguments);
  print_training_plan(arguments.config, arguments.json);
  return 0;
}

int train(TrainArguments& arguments) {
  TrainConfig& config = arguments.config;
  const std::string out = config.out;
  if (arguments.plan) return plan(arguments);
  if (!arguments.json.empty()) throw InvalidArgument("--json: expected --plan, found none");
  if (arguments.resume) {
    require(out, "out");
    for (const std::string& flag : arguments.table.given_except(Role::kMachine))
      if (flag != "--out")
        throw InvalidArgument(fmt::format(
            "{}: not allowed with --resume, which uses the options in {}/config.json", flag, out));
    if (!arguments.config_path.empty())
      throw InvalidArgument(
          fmt::format("--config: not allowed with --resume, which uses {}/config.json", out));
    RunDirectory(out).require("config.json");
    // The config.json of an older run lacks these two options; it trained without a bank, in float32.
    config.hubness_bank = 0;
    config.train.math = ProductMath::kFp32;
    arguments.config_path = RunDirectory(out).config();
  }
  std::optional<RunLock> lock;
  if (arguments.resume) lock.emplace(out, RunLock::Kind::kResumed, "sotalign train");
  if (!arguments.config_path.empty()) arguments.table.read_config(arguments.config_path);
  check_config(config);
  require_steps_of_effect(arguments);
  require_at_least("stop_after", arguments.stop_after, 0);
  if (!arguments.resume) lock.emplace(config.out, RunLock::Kind::kNew, "sotalign train");
  make_absolute(config.data);
  make_absolute(config.val_captions);
  make_absolute(config.val_thumbnails);
  if (!arguments.resume) arguments.table.require_utf8();  // config.json stores every option
  PhaseTimer phases("reading data");
  const Dataset data = read_dataset(config.data);
  const ShownPairs shown = choose_shown_pairs(config, data);
  phases.enter("starting the device");
  Context context = make_training_context(config.machine);
  phases.enter("fitting the teacher");
  auto training = naming_pairs(config.data.pairs_images, config.data.pairs_texts, [&] {
    return std::make_unique<Training>(arguments, context, data, shown, phases, *lock);
  });
  return training->run();
}

int run(TrainArguments& arguments) {
  try {
    return train(arguments);
  } catch (const InvalidArgument& error) {
    // No flag set the bad option, so it came from config.json: name that file.
    const std::string text = error.what();
    if (!arguments.resume || !arguments.table.given_except(Role::kDirectory).empty() ||
        arguments.config_path.empty() || text.find(arguments.config_path) != std::string::npos)
      throw;
    throw InvalidArgument(fmt::format("{}: {}", arguments.config_path, text));
  }
}

}  // namespace

Action add_train(CLI::App& app) {
  const auto arguments = std::make_shared<TrainArguments>(app);
  OptionTable& table = arguments->table;
  table.common(
      app.add_option("--config", arguments->config_path,
                     "JSON file of options (--batch-pairs is the key batch_pairs); flags override it")
          ->type_name("FILE"));
  table.check_file("--config", &arguments->config_path, Role::kPath);
  table.common(app.add_flag("--resume", arguments->resume, "Resume the run in --out"));
  app.add_option("--stop-after", setter("--stop-after", &arguments->stop_after),
                 "Stop after this step and save a checkpoint to resume from")
      ->type_name("N");
  table.common(app.add_flag("--plan", arguments->plan,
                            "Print what the run would need in memory and time, and do not train"));
  app.add_option("--json", arguments->json,
                 "With --plan: also write the plan as JSON; -: to standard output, and print nothing else")
      ->type_name("FILE");
  table.check_file("--json", &arguments->json, Role::kOutput);
  add_train_options(table, arguments->config);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
