// sotalign train: options and data are checked in full, then the run's directory is made, then it trains.
// What is on disk at any time can be continued with --resume and gives the same bits as a run without a
// break.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>

#include "command.h"
#include "files.h"
#include "inputs.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "run_directory.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) { interrupted = 1; }

/// The first signal lets the current step finish; the second one ends the program as usual.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

struct Arguments {
  explicit Arguments(CLI::App& app) : table(app) {}

  TrainConfig config;
  OptionTable table;
  std::string config_path;
  bool resume = false;
  int64_t stop_after = 0;  // 0: do not stop
};

std::string percent(double fraction) { return fmt::format("{:.1f}", 100 * fraction); }

class Training {
 public:
  Training(Arguments& arguments, Context& context, const Dataset& data)
      : arguments_(arguments),
        config_(arguments.config),
        run_(config_.out),
        context_(context),
        data_(data),
        trainer_(context, data.view(), config_.train),
        progress_(config_.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal) {}

  int run() {
    if (arguments_.resume) trainer_.load_checkpoint(run_.checkpoint());
    if (arguments_.stop_after > 0 && arguments_.stop_after <= trainer_.steps_done())
      throw InvalidArgument(
          fmt::format("--stop-after: expected more than the {} steps already done, found {}",
                      trainer_.steps_done(), arguments_.stop_after));
    // What was chosen for `auto` here is the choice wherever the run is continued.
    arguments_.config.train.klot_memory = trainer_.options().klot_memory;
    const TeacherOptions asked = config_.train.teacher;
    arguments_.config.train.teacher = trainer_.options().teacher;
    if (!arguments_.resume) run_.create(arguments_.table.values());
    if (trainer_.teacher_search()) write_json(run_.teacher(), to_json(*trainer_.teacher_search(), asked));
    print_header();
    metrics_ = std::make_unique<MetricsFile>(run_.metrics(), trainer_.steps_done());
    catch_signals();
    progress_.start("train", trainer_.steps_done(), config_.train.steps);
    while (!trainer_.finished()) {
      trainer_.train_step();
      const int64_t step = trainer_.steps_done();
      const bool stop = interrupted != 0 || step == arguments_.stop_after;
      if (trainer_.finished() || step % config_.log_every == 0) log_step();
      if (trainer_.has_validation() && due(config_.validate_every)) validate();
      if (progress_.due()) progress_.update(step, numbers(trainer_.metrics()));
      if (stop || due(config_.checkpoint_every)) save_checkpoint();
      if (stop && !trainer_.finished()) return stopped();
    }
    finish();
    return 0;
  }

 private:
  /// Every `every` steps, and at the end; 0: at the end alone.
  bool due(int64_t every) const {
    return trainer_.finished() || (every > 0 && trainer_.steps_done() % every == 0);
  }

  double seconds() const {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now() - started_;
    return now.count() + (metrics_ ? metrics_->seconds_before() : 0.0);
  }

  void print_header() {
    const auto rows = [](const char* what, const HostMatrix& images, const HostMatrix& texts) {
      return fmt::format("{} {} images, {} texts", what, images.rows(), texts.rows());
    };
    progress_.print(fmt::format("data      {} pairs of {} and {} dimensions, {}", data_.pair_images.rows(),
                                data_.pair_images.cols(), data_.pair_texts.cols(),
                                rows("unpaired", data_.images, data_.texts)));
    progress_.print("device    " + describe_device(context_, config_.machine));
    const Model& model = trainer_.model();
    progress_.print("teacher   " + describe(*model.teacher, config_.train.teacher));
    if (trainer_.teacher_search()) progress_.print(search_table(*trainer_.teacher_search()));
    if (trainer_.has_validation()) {
      teacher_result_ = trainer_.validate_teacher();
      progress_.print(fmt::format("          MeanR@1 {} on {} validation pairs",
                                  percent(teacher_result_.mean_r1), data_.val_images.rows()));
    }
    progress_.print(fmt::format("model     {} parameters, {} dimensions; {}", model.parameters.size(),
                                model.dim(Projection::kHeads), describe(config_.train)));
    if (trainer_.klot_memory()) progress_.print("klot      affinities " + trainer_.klot_memory()->reason);
    if (arguments_.resume)
      progress_.print(
          fmt::format("resume    {} of {} steps are done", trainer_.steps_done(), config_.train.steps));
  }

  std::string numbers(const StepMetrics& m) const {
    std::string text = fmt::format("loss {:.4f}", m.loss);
    if (trainer_.best_step() >= 0) text += fmt::format("  best MeanR@1 {}", percent(trainer_.best_score()));
    return text;
  }

  void log_step() {
    const StepMetrics m = trainer_.metrics();
    Json line = to_json(m);
    line["seconds"] = seconds();
    metrics_->add(line);
    if (progress_.has_bar()) return;
    progress_.print(fmt::format("step {:>6}/{}  {}  {:.2f} steps/s  {} left", m.step, config_.train.steps,
                                numbers(m), progress_.steps_per_second(m.step),
                                duration(progress_.remaining_seconds(m.step))));
  }

  void validate() {
    const RetrievalResult result = trainer_.validate();
    metrics_->add({{"step", trainer_.steps_done()}, {"validation", to_json(result)}, {"seconds", seconds()}});
  }

  void save_checkpoint() {
    trainer_.metrics();  // throws if the numbers went wild: an older checkpoint is worth more than that
    trainer_.save_checkpoint(run_.checkpoint());
  }

  int stopped() {
    progress_.print(fmt::format("stopped after step {} of {}; to continue: sotalign train --out {} --resume",
                                trainer_.steps_done(), config_.train.steps, run_.path()));
    return interrupted != 0 ? 130 : 0;
  }

  RetrievalResult evaluate() const {
    const auto rows = [&](Side side, const std::string& path, const HostMatrix& x) {
      return upload(context_, embed(context_, trainer_.model(), side, Projection::kHeads, path, x));
    };
    return retrieval(context_, rows(Side::kX, config_.data.val_images, data_.val_images),
                     rows(Side::kY, config_.data.val_texts, data_.val_texts));
  }

  void finish() {
    Json summary = metrics_->last_step();
    std::map<std::string, std::string> notes = {{"sotalign", SOTALIGN_VERSION},
                                                {"options", arguments_.table.values(Role::kTraining).dump()}};
    std::string table;
    if (trainer_.has_validation()) {
      trainer_.restore_best();
      const RetrievalResult result = evaluate();
      summary["model_step"] = trainer_.best_step();
      summary["validation"] = to_json(result);
      summary["validation_teacher"] = to_json(teacher_result_);
      table = fmt::format("\n{} validation pairs, percent; the model is that of step {}\n\n{}",
                          data_.val_images.rows(), trainer_.best_step(),
                          retrieval_table({{"teacher", teacher_result_}, {"model", result}}));
    } else {
      summary["model_step"] = trainer_.steps_done();
    }
    notes["step"] = summary["model_step"].dump();
    summary["seconds"] = seconds();
    summary["device"] = to_string(context_.device());
    summary["threads"] = context_.threads();
    trainer_.model().save(run_.model(), notes);
    write_json(run_.summary(), summary);
    progress_.print(fmt::format(
        "{}\nfiles     {}: model.safetensors, metrics.jsonl, summary.json, config.json", table, run_.path()));
    progress_.print(fmt::format(
        "next      sotalign eval --model {} --images TEST_IMAGES.npy --texts TEST_TEXTS.npy", run_.model()));
  }

  Arguments& arguments_;
  const TrainConfig& config_;
  RunDirectory run_;
  Context& context_;
  const Dataset& data_;
  Trainer trainer_;
  Progress progress_;
  std::unique_ptr<MetricsFile> metrics_;
  RetrievalResult teacher_result_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

/// Relative paths would mean something else when the run is continued from another directory.
void make_absolute(DataPaths& paths) {
  for (std::string* path : {&paths.pairs_images, &paths.pairs_texts, &paths.images, &paths.texts,
                            &paths.val_images, &paths.val_texts})
    if (!path->empty()) *path = std::filesystem::absolute(*path).lexically_normal();
}

void check_intervals(const TrainConfig& config, int64_t stop_after) {
  const auto at_least = [](const char* key, int64_t value, int64_t least) {
    if (value < least)
      throw InvalidArgument(fmt::format("{}: expected at least {}, found {}", key, least, value));
  };
  at_least("validate_every", config.validate_every, 0);
  at_least("checkpoint_every", config.checkpoint_every, 0);
  at_least("log_every", config.log_every, 1);
  at_least("stop_after", stop_after, 0);
}

int run(Arguments& arguments) {
  TrainConfig& config = arguments.config;
  const std::string out = config.out;
  if (arguments.resume) {
    require(out, "out");
    for (const std::string& flag : arguments.table.given_except(Role::kMachine))
      if (flag != "--out")
        throw InvalidArgument(
            fmt::format("{}: --resume continues with the options in {}/config.json", flag, out));
    if (!arguments.config_path.empty())
      throw InvalidArgument(fmt::format("--config: --resume continues with {}/config.json", out));
    RunDirectory::require_resumable(out);
    arguments.config_path = RunDirectory(out).config();
  }
  if (!arguments.config_path.empty()) arguments.table.read_config(arguments.config_path);
  require(config.out, "out");
  check_intervals(config, arguments.stop_after);
  check_epsilons(config.train.klot);
  if (!arguments.resume) RunDirectory::require_creatable(config.out);
  make_absolute(config.data);
  if (needs_unpaired(effective_method(config.train))) {
    require(config.data.images, "images");
    require(config.data.texts, "texts");
  }
  const Dataset data = read_dataset(config.data);
  Context context = make_context(config.machine);
  return Training(arguments, context, data).run();
}

}  // namespace

Action add_train(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>(app);
  app.add_option("--config", arguments->config_path,
                 "JSON file of options: --klot-weight is the key klot_weight. Flags win")
      ->type_name("FILE");
  app.add_flag("--resume", arguments->resume, "Continue the run in --out");
  app.add_option("--stop-after", arguments->stop_after,
                 "Stop after this step with a checkpoint to resume from")
      ->type_name("N");
  add_train_options(arguments->table, arguments->config);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
