// sotalign eval: measures cross-modal retrieval, with bootstrap intervals, and prints it as a table or as
// JSON. With --against, it also measures another model on the same rows, and the difference.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/inputs.h"
#include "data/shared_rows.h"
#include "sotalign/eval/bootstrap.h"

namespace sotalign::app {

namespace {

struct EvalArguments {
  explicit EvalArguments(CLI::App& app) : table(app) {}

  std::string model, images, texts, image_ids, text_ids, json, against;
  Projection projection = Projection::kHeads;
  HubnessOptions hubness{.kind = Hubness::kNone};
  BootstrapOptions bootstrap;
  Machine machine;
  OptionTable table;
};

/// Retrieval between two sets of rows.
struct Evaluation {
  std::string name;
  RetrievalRanks ranks;
  RetrievalResult result;
  RetrievalIntervals intervals;

  RetrievalRow row() const { return {.name = name, .result = result, .intervals = intervals}; }
};

class Evaluator {
 public:
  Evaluator(Context& context, const EvalArguments& arguments)
      : context_(context), arguments_(arguments), raw_(arguments.images, arguments.texts) {
    if (arguments.image_ids.empty()) {
      if (raw_.images.rows() != raw_.texts.rows()) raw_.check_values();
      require_pairs(arguments.images, raw_.images.rows(), arguments.texts, raw_.texts.rows());
    } else {
      options_.image_ids = read_ids(arguments.image_ids, raw_.images.rows(), arguments.images);
      options_.text_ids = read_ids(arguments.text_ids, raw_.texts.rows(), arguments.texts);
    }
  }

  SharedRows rows(const std::string& model, Projection projection, const HubnessOptions& hubness) const {
    return bring_to_one_space(context_, model, projection, raw_, hubness);
  }

  Evaluation plain(const std::string& name, const SharedRows& rows) const {
    return evaluate(name, rows, options_);
  }

  /// The rows have a hubness correction.
  Evaluation corrected(const std::string& name, const SharedRows& rows) const {
    RetrievalOptions options = options_;
    options.image_corrections = rows.hubness->corrections(context_, Side::kX, rows.images);
    options.text_corrections = rows.hubness->corrections(context_, Side::kY, rows.texts);
    return evaluate(corrected_name(name, arguments_.hubness.kind), rows, options);
  }

  RetrievalIntervals differences(const Evaluation& ours, const Evaluation& theirs) const {
    return bootstrap_differences(ours.ranks, theirs.ranks, options_, arguments_.bootstrap);
  }

 private:
  Evaluation evaluate(const std::string& name, const SharedRows& rows,
                      const RetrievalOptions& options) const {
    const auto run = [&] { return retrieval_ranks(context_, rows.images, rows.texts, options); };
    const RetrievalRanks ranks =
        arguments_.image_ids.empty()
            ? run()
            : naming_files(arguments_.image_ids + " and " + arguments_.text_ids, "retrieval: ", run);
    return {name, ranks, summarize_retrieval(ranks),
            bootstrap_intervals(ranks, options_, arguments_.bootstrap)};
  }

  Context& context_;
  const EvalArguments& arguments_;
  const RawRows raw_;
  RetrievalOptions options_;
};

RetrievalResult difference(const RetrievalResult& ours, const RetrievalResult& theirs) {
  const auto direction = [](const RecallAtK& a, const RecallAtK& b) -> RecallAtK {
    return {.r1 = a.r1 - b.r1,
            .r5 = a.r5 - b.r5,
            .r10 = a.r10 - b.r10,
            .median_rank = a.median_rank - b.median_rank,
            .queries = a.queries,
            .mean_reciprocal_rank = a.mean_reciprocal_rank - b.mean_reciprocal_rank};
  };
  return {.image_to_text = direction(ours.image_to_text, theirs.image_to_text),
          .text_to_image = direction(ours.text_to_image, theirs.text_to_image),
          .mean_r1 = ours.mean_r1 - theirs.mean_r1,
          .mean_reciprocal_rank = ours.mean_reciprocal_rank - theirs.mean_reciprocal_rank};
}

/// Whether the interval of a difference excludes 0.
bool above_noise(const Interval& interval) { return interval.low > 0 || interval.high < 0; }

nlohmann::ordered_json json_of(const Evaluation& evaluation, const BootstrapOptions& options) {
  nlohmann::ordered_json json = to_json(evaluation.result);
  json["intervals"] = to_json(evaluation.intervals, options);
  return json;
}

const char* projection_name(const EvalArguments& arguments) {
  if (arguments.model.empty()) return "as they are";
  return arguments.projection == Projection::kHeads ? "heads" : "teacher";
}

void check(const EvalArguments& arguments) {
  require({{arguments.images, "images"}, {arguments.texts, "texts"}});
  require_flags_of_kind(arguments.table, arguments.hubness.kind);
  require_model_for_hubness(arguments.model, arguments.hubness);
  require_both({arguments.image_ids, "image_ids"}, {arguments.text_ids, "text_ids"});
  if (!arguments.against.empty() && arguments.model.empty())
    throw InvalidArgument("--against: expected --model with the model to compare, found none");
  constexpr int64_t kFewest = 39, kMost = 1000000;
  if (const int64_t found = arguments.bootstrap.resamples; found < kFewest || found > kMost)
    throw InvalidArgument(fmt::format("--resamples: expected {} to {}, found {}", kFewest, kMost, found));
}

int run(const EvalArguments& arguments) {
  check(arguments);
  Context context = make_context(arguments.machine);
  const Evaluator evaluator(context, arguments);
  const BootstrapOptions& bootstrap = arguments.bootstrap;
  const std::string name = projection_name(arguments);
  const SharedRows shared = evaluator.rows(arguments.model, arguments.projection, arguments.hubness);
  const Evaluation ours = evaluator.plain(name, shared);
  nlohmann::ordered_json json = json_of(ours, bootstrap);
  std::vector<RetrievalRow> rows = {ours.row()};
  if (shared.hubness) {
    const Evaluation corrected = evaluator.corrected(name, shared);
    rows.push_back(corrected.row());
    json["hubness"] = to_json(*shared.hubness);
    json["hubness"]["corrected"] = json_of(corrected, bootstrap);
  }
  std::string verdict;
  if (!arguments.against.empty()) {
    const bool teacher = arguments.against == "teacher";
    const Evaluation theirs = evaluator.plain(
        arguments.against,
        evaluator.rows(teacher ? arguments.model : arguments.against,
                       teacher ? Projection::kTeacher : arguments.projection, {.kind = Hubness::kNone}));
    const RetrievalResult less = difference(ours.result, theirs.result);
    const RetrievalIntervals intervals = evaluator.differences(ours, theirs);
    rows.push_back(theirs.row());
    rows.push_back({.name = "difference",
                    .result = less,
                    .intervals = intervals,
                    .kind = RetrievalRow::Kind::kDifferences});
    const bool above = above_noise(intervals.mean_r1);
    json["against"] = json_of(theirs, bootstrap);
    json["against"]["name"] = arguments.against;
    json["against"]["difference"] = to_json(less);
    json["against"]["difference"]["intervals"] = to_json(intervals, bootstrap);
    json["against"]["difference"]["above_noise"] = above;
    verdict = fmt::format("\n{} less {}: MeanR@1 {:+.1f}, from {:+.1f} to {:+.1f}: {}\n", name,
                          arguments.against, 100 * less.mean_r1, 100 * intervals.mean_r1.low,
                          100 * intervals.mean_r1.high, above ? "above noise" : "within noise");
  }

  if (!arguments.json.empty()) write_json(arguments.json, json);
  if (arguments.json == "-" || arguments.machine.quiet) return 0;
  fmt::print("{} images and {} texts of {} dimensions; recalls in percent; bootstrap intervals\n\n{}{}",
             shared.images.rows(), shared.texts.rows(), shared.images.cols(), retrieval_table(rows), verdict);
  return 0;
}

}  // namespace

Action add_eval(CLI::App& app) {
  const auto arguments = std::make_shared<EvalArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("model", &arguments->model, "Model; without one, rows are compared as they are", Role::kPath);
  table.common();
  table.add("images", &arguments->images, "Embeddings of the images", Role::kMatrix);
  table.common();
  table.add("texts", &arguments->texts,
            "Embeddings of the texts; without ids, row i is paired with image row i", Role::kMatrix);
  table.common();
  table.add("image_ids", &arguments->image_ids,
            "Ids of the images, .npy integers; images and texts with equal ids match", Role::kPath);
  table.add("text_ids", &arguments->text_ids, "Ids of the texts, .npy integers", Role::kPath);
  table.add("json", &arguments->json,
            "Also write the result as JSON; -: to standard output, without the table", Role::kOutput);
  table.common();
  table.section("Intervals");
  table.add("against", &arguments->against,
            "Also show the difference from another model file, or from this model's 'teacher',\n"
            "without a correction of hubness, and whether it is above noise",
            Role::kPath);
  table.common();
  table.add("resamples", &arguments->bootstrap.resamples,
            "Bootstrap resamples of the test items, for 95 % intervals");
  table.add("bootstrap_seed", &arguments->bootstrap.seed, "Selects the resamples");
  table.section("Model");
  add_projection_option(table, arguments->projection);
  table.common();
  add_hubness_options(table, hubness_choice(&arguments->hubness.kind), arguments->hubness);
  table.common("hubness");
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
