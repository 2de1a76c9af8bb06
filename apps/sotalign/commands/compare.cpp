// sotalign compare: on embeddings whose pairs are all known, how much do unpaired rows help? Each seed makes
// a new split; the teacher, SAIL and SOTAlign (or another method in its place) train on the same few pairs
// and are measured on the same test rows. The README shows figures of this command.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/shown_text.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/inputs.h"
#include "run/experiment.h"
#include "run/progress.h"
#include "run/spread.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

enum class MeasureOn { kTest, kValidation };

struct CompareArguments {
  explicit CompareArguments(CLI::App& app) : table(app) {}

  std::string images, texts, json;
  SplitSizes sizes{.pairs = 500, .test = 400, .validation = 0};
  std::vector<int64_t> seeds = {0, 1, 2};
  MeasureOn measure_on = MeasureOn::kTest;
  HubnessOptions hubness{.kind = Hubness::kNone};
  TrainConfig config;
  OptionTable table;
};

struct Contender {
  std::string name;
  std::vector<RetrievalResult> results = {};  // one for each seed
  std::vector<double> seconds = {};
  std::vector<RetrievalResult> corrected = {};  // with the hubness correction; empty without

  void add(const Measured& measured, double taken) {
    results.push_back(measured.plain);
    if (measured.corrected) corrected.push_back(*measured.corrected);
    seconds.push_back(taken);
  }
};

class Comparison {
 public:
  explicit Comparison(CompareArguments& arguments)
      : arguments_(arguments),
        context_(make_training_context(arguments.config.machine)),
        images_(read_embeddings(arguments.images)),
        texts_(read_embeddings(arguments.texts)),
        progress_(arguments.config.machine.quiet || arguments.json == "-" ? Progress::Verbosity::kQuiet
                                                                          : Progress::Verbosity::kNormal) {
    require_pairs(arguments.images, images_.rows(), arguments.texts, texts_.rows());
    require_rows_that_differ(arguments.images, images_);
    require_rows_that_differ(arguments.texts, texts_);
    if (arguments.config.train.method == "sail")
      throw InvalidArgument("method: expected a method to compare with SAIL, found sail");
    require_few_seeds("seeds", arguments.seeds);
    if (arguments.measure_on == MeasureOn::kValidation && arguments.sizes.validation < 1)
      throw InvalidArgument(
          fmt::format("measure_on: validation: expected --validation of at least 1, found {}",
                      arguments.sizes.validation));
    require_flags_of_kind(arguments.table, arguments.hubness.kind);
    hubness_bank_rows(Side::kX, 1, arguments.hubness);  // throws for options out of range
    for (const int64_t seed : arguments.seeds) {
      if (seed < 0) throw InvalidArgument(fmt::format("seeds: expected numbers >= 0, found {}", seed));
      split_rows(images_.rows(), arguments.sizes,
                 static_cast<uint64_t>(seed));  // throw now, not after hours of training
    }
  }

  int run() {
    progress_.print("device    " + describe_device(context_, arguments_.config.machine));
    for (const int64_t seed : arguments_.seeds) run_seed(static_cast<uint64_t>(seed));
    progress_.print(fmt::format("\nMean of {} seeds, measured on {} rows, {} pairs, percent; {}\n\n{}",
                                arguments_.seeds.size(), measured_rows(), arguments_.sizes.pairs,
                                describe(arguments_.config.train), retrieval_table(rows())));
    progress_.print(fmt::format("MeanR@1 gain of {} over {}, over {}", methods_.back().name,
                                difference(methods_[0]), difference(methods_[1])));
    if (!arguments_.json.empty()) write_json(arguments_.json, report());
    return 0;
  }

 private:
  /// Whether the method chooses its teacher. The first contender is then the plain teacher, CCA.
  bool chooses_teacher() const {
    return arguments_.config.train.teacher.kind == TeacherKind::kAuto &&
           effective_method(arguments_.config.train).starts_from_teacher;
  }

  std::vector<Contender> contenders() const {
    std::vector<Contender> names = {{"teacher"}, {"SAIL"}};
    if (chooses_teacher()) names.push_back({"chosen teacher"});
    names.push_back({find_method(arguments_.config.train.method).title});
    return names;
  }

  int64_t measured_rows() const {
    return arguments_.measure_on == MeasureOn::kTest ? arguments_.sizes.test : arguments_.sizes.validation;
  }

  /// Training chooses among its models by these rows, unless they are what is measured.
  HostMatrix validation(const HostMatrix& rows, const Split& split) const {
    return arguments_.measure_on == MeasureOn::kTest ? take_rows(rows, split.validation) : HostMatrix();
  }

  void run_seed(uint64_t seed) {
    const Split split = split_rows(images_.rows(), arguments_.sizes, seed);
    const std::vector<int64_t>& measured =
        arguments_.measure_on == MeasureOn::kTest ? split.test : split.validation;
    const Dataset data{.pair_images = take_rows(images_, split.pairs),
                       .pair_texts = take_rows(texts_, split.pairs),
                       .images = take_rows(images_, split.unpaired_images),
                       .texts = take_rows(texts_, split.unpaired_texts),
                       .val_images = validation(images_, split),
                       .val_texts = validation(texts_, split)};
    const TestPairs test{.images = take_rows(images_, measured), .texts = take_rows(texts_, measured)};

    TrainOptions options = arguments_.config.train;
    options.seed = seed;
    TrainOptions sail = options;
    sail.method = "sail";
    HubnessOptions hubness = arguments_.hubness;
    hubness.seed = seed;
    const auto train = [&](Contender& method, const TrainOptions& method_options) {
      const Outcome outcome = naming_pairs(arguments_.images, arguments_.texts, [&] {
        return run_experiment(context_, data, test, method_options, method.name, progress_, hubness);
      });
      method.add(outcome.heads, outcome.seconds);
      return outcome;
    };
    const auto add_teacher = [](Contender& teacher, const Outcome& outcome) {
      teacher.add(outcome.teacher, -1);
    };
    const Outcome baseline = train(methods_[1], sail), outcome = train(methods_.back(), options);
    add_teacher(methods_[0], chooses_teacher() ? baseline : outcome);
    if (chooses_teacher()) add_teacher(methods_[2], outcome);
    std::string line = fmt::format("seed {:<4}", seed);
    for (const Contender& method : methods_) {
      line += fmt::format("  {} {:.1f}", method.name, 100 * method.results.back().mean_r1);
      if (!method.corrected.empty())
        line += fmt::format(" ({} {:.1f})", to_string(hubness.kind), 100 * method.corrected.back().mean_r1);
    }
    progress_.print(
        line + fmt::format("  MeanR@1, {} unpaired rows of each modality", split.unpaired_images.size()));
  }

  template <class Value>
  static double mean(const Contender& method, Value&& value) {
    double sum = 0;
    for (const RetrievalResult& result : method.results) sum += value(result);
    return sum / static_cast<double>(method.results.size());
  }

  /// The contenders with corrected results in the place of the plain ones; empty without a correction.
  std::vector<Contender> corrected_methods() const {
    std::vector<Contender> corrected;
    for (const Contender& method : methods_)
      if (!method.corrected.empty())
        corrected.push_back({.name = method.name,
                             .results = method.corrected,
                             .seconds = std::vector<double>(method.corrected.size(), -1)});
    return corrected;
  }

  std::vector<RetrievalRow> rows() const {
    std::vector<Contender> shown;
    const std::vector<Contender> corrected = corrected_methods();
    for (size_t i = 0; i < methods_.size(); ++i) {
      shown.push_back(methods_[i]);
      if (corrected.empty()) continue;
      shown.push_back(corrected[i]);
      shown.back().name = corrected_name(methods_[i].name, arguments_.hubness.kind);
    }
    std::vector<RetrievalRow> rows;
    for (const Contender& method : shown) {
      const auto direction = [&](RecallAtK RetrievalResult::*side) {
        const auto of = [&](double RecallAtK::*field) {
          return mean(method, [&](const RetrievalResult& r) { return r.*side.*field; });
        };
        return RecallAtK{.r1 = of(&RecallAtK::r1),
                         .r5 = of(&RecallAtK::r5),
                         .r10 = of(&RecallAtK::r10),
                         .median_rank = of(&RecallAtK::median_rank),
                         .queries = method.results[0].image_to_text.queries,
                         .mean_reciprocal_rank = of(&RecallAtK::mean_reciprocal_rank)};
      };
      RetrievalRow row{.name = method.name,
                       .result = {.image_to_text = direction(&RetrievalResult::image_to_text),
                                  .text_to_image = direction(&RetrievalResult::text_to_image),
                                  .mean_r1 = mean(method, [](const RetrievalResult& r) { return r.mean_r1; }),
                                  .mean_reciprocal_rank = mean(method, [](const RetrievalResult& r) {
                                    return r.mean_reciprocal_rank;
                                  })}};
      double seconds = 0;
      for (const double s : method.seconds) seconds += s;
      row.seconds = seconds / static_cast<double>(method.seconds.size());
      rows.push_back(row);
    }
    return rows;
  }

  /// "SAIL: +4.2 +- 0.4": the mean over the seeds and, if there are several, its standard error.
  std::string difference(const Contender& other) const {
    const auto recalls = [](const Contender& method) {
      std::vector<double> values;
      for (const RetrievalResult& result : method.results) values.push_back(100 * result.mean_r1);
      return values;
    };
    const Spread gain = spread(differences(recalls(methods_.back()), recalls(other)));
    std::string text = fmt::format("{}: {:+.1f}", other.name, gain.mean);
    if (other.results.size() > 1) text += fmt::format(" +- {:.1f}", gain.error);
    return text;
  }

  Json report_of(const std::vector<Contender>& contenders) const {
    Json methods = Json::object();
    for (const Contender& method : contenders) {
      Json results = Json::array();
      for (size_t i = 0; i < method.results.size(); ++i) {
        Json entry = to_json(method.results[i]);
        entry["seed"] = arguments_.seeds[i];
        if (method.seconds[i] >= 0) entry["seconds"] = method.seconds[i];
        results.push_back(entry);
      }
      methods[method.name] = {{"mean_r1", mean(method, [](const RetrievalResult& r) { return r.mean_r1; })},
                              {"mean_reciprocal_rank",
                               mean(method, [](const RetrievalResult& r) { return r.mean_reciprocal_rank; })},
                              {"seeds", results}};
    }
    return methods;
  }

  Json report() const {
    Json json = {{"images", arguments_.images},
                 {"texts", arguments_.texts},
                 {"rows", images_.rows()},
                 {"pairs", arguments_.sizes.pairs},
                 {"test", arguments_.sizes.test},
                 {"validation", arguments_.sizes.validation},
                 {"method", arguments_.config.train.method},
                 {"divergence", arguments_.config.train.divergence.name},
                 {"measured_on", arguments_.measure_on == MeasureOn::kTest ? "test" : "validation"},
                 {"device", describe_device(context_, arguments_.config.machine)},
                 {"threads", context_.threads()},
                 {"methods", report_of(methods_)}};
    if (const std::vector<Contender> corrected = corrected_methods(); !corrected.empty()) {
      json["hubness"] = to_json(arguments_.hubness);
      json["hubness"]["methods"] = report_of(corrected);
    }
    return json;
  }

  const CompareArguments& arguments_;
  Context context_;
  HostMatrix images_, texts_;
  Progress progress_;
  std::vector<Contender> methods_ = contenders();  // the method comes last
};

}  // namespace

Action add_compare(CLI::App& app) {
  const auto arguments = std::make_shared<CompareArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Data");
  table.add("images", &arguments->images, "Image embeddings, one per row", Role::kMatrix);
  table.common();
  table.add("texts", &arguments->texts, "Text embeddings; row i is paired with image row i", Role::kMatrix);
  table.common();
  table.add("pairs", &arguments->sizes.pairs, "Number of rows to train on as pairs");
  table.common();
  table.add("test", &arguments->sizes.test, "Number of test rows");
  table.common();
  table.add("validation", &arguments->sizes.validation,
            "Number of validation rows, held out; measured on test rows, training chooses\n"
            "among its models by them");
  table.common();
  table.add(
      "measure_on",
      choice(&arguments->measure_on, {{"test", MeasureOn::kTest}, {"validation", MeasureOn::kValidation}}),
      "Rows to measure on");
  table.add("seeds", &arguments->seeds, "Seeds: one split and training each");
  table.common();
  table.add("json", &arguments->json,
            "Write the results as JSON; -: to standard output, and print nothing else", Role::kOutput);
  table.common();
  table.section("Hubness");
  add_hubness_options(table, hubness_choice(&arguments->hubness.kind), arguments->hubness);
  add_machine_options(table, arguments->config.machine);
  add_method_options(table, arguments->config.train);
  return [arguments] {
    require({{arguments->images, "images"}, {arguments->texts, "texts"}});
    if (!arguments->json.empty()) {  // the report names them
      require_utf8("--images", arguments->images);
      require_utf8("--texts", arguments->texts);
    }
    return Comparison(*arguments).run();
  };
}

}  // namespace sotalign::app
