// sotalign demo: few pairs and many unpaired rows of data that comes with the program. Do the unpaired rows
// help, and is the gain more than noise?
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/duration.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/demo_data.h"
#include "data/inputs.h"
#include "run/experiment.h"
#include "run/progress.h"
#include "run/run_lock.h"
#include "run/spread.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/top_k.h"
#include "sotalign/io/npy.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

constexpr int64_t kTest = 400, kValidation = 200;
constexpr int64_t kShown = 5;  // results per query
constexpr size_t kQueries = 4, kWidth = 100;

struct DemoArguments {
  std::string data, out, set = "both";
  std::vector<int64_t> seeds = {0, 1, 2};
  Machine machine;
};

/// What the demo says about a data set.
struct Set {
  std::string name;   // of the folder
  std::string about;  // what the rows are, and who embedded them
  std::string query;  // the direction of the examples
  int64_t pairs;
  DemoData (*read)(const std::string&);
  size_t label_width;  // of a result
};

const Set kSets[] = {
    {"words",
     "{} entries of WordNet: their words, embedded by GloVe, and their definitions, embedded by the\n"
     "Universal Sentence Encoder. The encoders were trained independently.",
     "Definition to words", 100, read_words, 16},
    {"emoji",
     "{} emoji, embedded by an image encoder (MobileNetV2), and their names, embedded by a text encoder\n"
     "(Universal Sentence Encoder). The encoders were trained independently.",
     "Name to emoji", 200, read_emoji, 14},
};

/// UTF-8 text, cut to at most `width` characters.
std::string shortened(const std::string& text, size_t width) {
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  if (static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character)) <= width) return text;
  size_t end = 0;
  for (size_t characters = 0; characters < width; ++end) characters += starts_character(text[end]) ? 1 : 0;
  return text.substr(0, end - 1) + "…";
}

/// A method's figures, one for each seed.
struct DemoContender {
  std::string name;
  std::vector<double> recalls = {};  // MeanR@1, percent
  std::vector<double> ranks = {};    // mean reciprocal rank
};

/// What a method finds for the texts of the test rows.
struct Found {
  std::vector<int64_t> ranks;
  TopKResult best;
};

class SetDemo {
 public:
  SetDemo(const DemoArguments& arguments, const Set& set, Context& context, Progress& progress)
      : arguments_(arguments),
        set_(set),
        context_(context),
        progress_(progress),
        rows_(set.read(find_demo_data(arguments.data) + "/" + set.name)) {}

  void run() {
    const int64_t unpaired = rows_.images.rows() - set_.pairs - kTest - kValidation;
    progress_.print(fmt::format(fmt::runtime(set_.about), rows_.images.rows()));
    progress_.print(fmt::format(
        "{} rows are known pairs. Of {} more rows both sides are known, but not which belongs to which.\n"
        "{} pairs choose between models, {} are the test.\n",
        set_.pairs, unpaired, kValidation, kTest));
    for (const int64_t seed : arguments_.seeds) run_seed(static_cast<uint64_t>(seed));
    print_figures();
    show_queries();
  }

 private:
  void run_seed(uint64_t seed) {
    const Split split = split_rows(rows_.images.rows(),
                                   {.pairs = set_.pairs, .test = kTest, .validation = kValidation}, seed);
    const Dataset data{.pair_images = take_rows(rows_.images, split.pairs),
                       .pair_texts = take_rows(rows_.texts, split.pairs),
                       .images = take_rows(rows_.images, split.unpaired_images),
                       .texts = take_rows(rows_.texts, split.unpaired_texts),
                       .val_images = take_rows(rows_.images, split.validation),
                       .val_texts = take_rows(rows_.texts, split.validation)};
    const TestPairs test{.images = take_rows(rows_.images, split.test),
                         .texts = take_rows(rows_.texts, split.test)};
    TrainOptions sail, plain, sotalign;
    sail.seed = plain.seed = sotalign.seed = seed;
    sail.method = "sail";
    plain.teacher.kind = TeacherKind::kCca;
    const bool first = seed == static_cast<uint64_t>(arguments_.seeds[0]);
    const auto train = [&](const TrainOptions& options, DemoContender& contender) {
      const std::string name = fmt::format("{}, seed {}", contender.name, seed);
      Trainer trainer = train_experiment(context_, data, options, name, progress_);
      add(contender, trainer.model(), Projection::kHeads, test);
      return trainer;
    };
    const auto start = std::chrono::steady_clock::now();
    {
      const Trainer trainer = train(sail, contenders_[1]);
      add(contenders_[0], trainer.model(), Projection::kTeacher, test);
      if (first) sail_ = find(trainer.model(), test);
    }
    train(plain, contenders_[2]);
    Trainer trainer = train(sotalign, contenders_[3]);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::string line = fmt::format("seed {:<3}", seed);
    for (const DemoContender& contender : contenders_)
      line += fmt::format("  {} {:.1f}", contender.name, contender.recalls.back());
    progress_.print(fmt::format("{}  MeanR@1, {}", line, duration(taken.count())));
    if (trainer.teacher_choice()) progress_.print("          teacher: " + trainer.teacher_choice()->reason);
    if (!first) return;
    sotalign_ = find(trainer.model(), test);
    test_rows_ = split.test;
    if (!arguments_.out.empty()) save(trainer, data, test, seed);
  }

  void add(DemoContender& contender, const Model& model, Projection projection, const TestPairs& test) {
    const RetrievalResult result =
        measure(context_, model, projection, "test images", test.images, "test texts", test.texts);
    contender.recalls.push_back(100 * result.mean_r1);
    contender.ranks.push_back(result.mean_reciprocal_rank);
  }

  Found find(const Model& model, const TestPairs& test) {
    const Matrix<float> images =
                            embed(context_, model, Side::kX, Projection::kHeads, "test images", test.images),
                        texts =
                            embed(context_, model, Side::kY, Projection::kHeads, "test texts", test.texts);
    return {.ranks = retrieval_ranks(context_, images, texts).text_to_image,
            .best = top_k(context_, texts, images, kShown)};
  }

  void print_figures() {
    const size_t seeds = arguments_.seeds.size();
    std::string text =
        fmt::format("\n  {:24}  {:>12}  {:>5}\n",
                    fmt::format("mean of {} seed{}", seeds, seeds > 1 ? "s" : ""), "MeanR@1", "MRR");
    const auto figure = [&](const Spread& s, bool sign) {
      std::string shown = sign ? fmt::format("{:+.1f}", s.mean) : fmt::format("{:.1f}", s.mean);
      if (seeds > 1) shown += fmt::format(" ± {:.1f}", s.error);
      return shown;
    };
    const DemoContender& ours = contenders_.back();
    const DemoContender* best = &contenders_[0];
    for (const DemoContender& contender : contenders_) {
      text += fmt::format("  {:24}  {:>12}  {:.3f}\n", contender.name,
                          figure(spread(contender.recalls), false), spread(contender.ranks).mean);
      if (&contender != &ours && spread(contender.recalls).mean > spread(best->recalls).mean)
        best = &contender;
    }
    const Spread gain = spread(differences(ours.recalls, best->recalls));
    const Decided decided = decide(gain);
    const char* verdict = seeds < 2                    ? "one seed cannot tell it from noise"
                          : decided == Decided::kAbove ? "more than noise"
                          : decided == Decided::kBelow ? "a loss beyond noise"
                                                       : "within noise, two standard errors";
    text += fmt::format("\n  {} over {}: {}, {}.\n", ours.name, best->name, figure(gain, true), verdict);
    text +=
        "  MeanR@1: how often the first result is right, percent. teacher: linear maps fitted to the pairs. "
        "SAIL:\n"
        "  trained on the pairs. SOTAlign, plain teacher: also on the unpaired rows. SOTAlign, the default: "
        "from a\n"
        "  teacher that may have matched unpaired rows itself; validation pairs choose what is kept.\n";
    progress_.print(text);
  }

  /// Queries that show the difference, and one that SOTAlign gets wrong.
  std::vector<int64_t> choose_queries() const {
    std::vector<int64_t> chosen;
    const auto take = [&](size_t most, auto&& wanted) {
      for (size_t i = 0; i < sotalign_.ranks.size() && chosen.size() < most; ++i)
        if (wanted(sotalign_.ranks[i], sail_.ranks[i])) chosen.push_back(static_cast<int64_t>(i));
    };
    take(kQueries - 1, [](int64_t rank, int64_t sail) { return rank == 1 && sail > 1; });
    take(chosen.size() + 1, [](int64_t rank, int64_t) { return rank > kShown; });
    return chosen;
  }

  void show_queries() {
    progress_.print(fmt::format(
        "{}, seed {}: the top {} of {}, with the [correct one] in brackets. SOTAlign gets these test\n"
        "queries right and SAIL does not, except for the last one, which SOTAlign gets wrong:\n",
        set_.query, arguments_.seeds[0], kShown, kTest));
    for (const int64_t query : choose_queries()) {
      const int64_t row = test_rows_[static_cast<size_t>(query)];
      progress_.print("  " + shortened(rows_.text_labels[static_cast<size_t>(row)], kWidth - 8));
      progress_.print(results("SOTAlign", sotalign_, query));
      progress_.print(results("SAIL", sail_, query) + "\n");
    }
  }

  std::string results(const std::string& name, const Found& found, int64_t query) const {
    std::string line = fmt::format("    {:8} ", name);
    for (int64_t i = 0; i < found.best.k; ++i) {
      const int64_t result = found.best.indices[static_cast<size_t>(query * found.best.k + i)];
      const auto row = static_cast<size_t>(test_rows_[static_cast<size_t>(result)]);
      std::string cell = rows_.image_labels[row];
      if (set_.name == "emoji") cell += " " + rows_.text_labels[row];
      cell = shortened(cell, set_.label_width);
      line += result == query ? fmt::format(" [{}]", cell) : fmt::format("  {}", cell);
    }
    const int64_t rank = found.ranks[static_cast<size_t>(query)];
    return rank == 1 ? line : line + fmt::format("  (rank {})", rank);
  }

  /// Saves everything that the other commands need to repeat this.
  void save(Trainer& trainer, const Dataset& data, const TestPairs& test, uint64_t seed) {
    const std::string out = arguments_.out + "/" + set_.name;
    std::filesystem::create_directory(out);
    write_npy(out + "/pairs_images.npy", data.pair_images.view());
    write_npy(out + "/pairs_texts.npy", data.pair_texts.view());
    std::vector<float> buffer;
    write_npy(out + "/images.npy", data.images.read(0, data.images.rows(), buffer));
    write_npy(out + "/texts.npy", data.texts.read(0, data.texts.rows(), buffer));
    write_npy(out + "/val_images.npy", data.val_images.view());
    write_npy(out + "/val_texts.npy", data.val_texts.view());
    write_npy(out + "/test_images.npy", test.images.view());
    write_npy(out + "/test_texts.npy", test.texts.view());
    trainer.add_bank({.seed = seed});
    trainer.model().save(out + "/model.safetensors", {{"sotalign", version()}});
  }

  const DemoArguments& arguments_;
  const Set& set_;
  Context& context_;
  Progress& progress_;
  DemoData rows_;
  std::vector<DemoContender> contenders_ = {{"teacher"}, {"SAIL"}, {"SOTAlign, plain teacher"}, {"SOTAlign"}};
  // What the first seed gave.
  Found sail_, sotalign_;
  std::vector<int64_t> test_rows_;
};

int run(const DemoArguments& arguments) {
  require_few_seeds("seeds", arguments.seeds);
  for (const int64_t seed : arguments.seeds)
    if (seed < 0) throw InvalidArgument(fmt::format("seeds: expected numbers >= 0, found {}", seed));
  Context context = make_training_context(arguments.machine);
  Progress progress(arguments.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal);
  std::vector<std::unique_ptr<SetDemo>> demos;
  for (const Set& set : kSets)
    if (arguments.set == "both" || arguments.set == set.name)
      demos.push_back(std::make_unique<SetDemo>(arguments, set, context, progress));
  std::optional<RunLock> lock;
  if (!arguments.out.empty()) {
    lock.emplace(arguments.out, RunLock::Kind::kNew, "sotalign demo");
    lock->begun();
  }
  progress.print("device    " + describe_device(context, arguments.machine) + "\n");
  for (const auto& demo : demos) demo->run();
  if (arguments.out.empty()) {
    progress.print(
        "Next: save the data and the model, to try the other commands on them:\n\n"
        "  sotalign demo --out demo\n\n"
        "or train on your own embeddings, .npy or .safetensors with one embedding per row:\n\n"
        "  sotalign train --pairs-images PI.npy --pairs-texts PT.npy --images I.npy --texts T.npy --out RUN");
    return 0;
  }
  progress.print(fmt::format(
      "The data and the model are in {0}. Next: evaluate the model, or train another one:\n\n"
      "  sotalign eval --model {0}/model.safetensors --images {0}/test_images.npy --texts "
      "{0}/test_texts.npy\n"
      "  sotalign train --pairs-images {0}/pairs_images.npy --pairs-texts {0}/pairs_texts.npy \\\n"
      "    --images {0}/images.npy --texts {0}/texts.npy --val-images {0}/val_images.npy \\\n"
      "    --val-texts {0}/val_texts.npy --out {1}/run",
      arguments.out + "/" + (arguments.set == "both" ? "words" : arguments.set), arguments.out));
  return 0;
}

}  // namespace

Action add_demo(CLI::App& app) {
  const auto arguments = std::make_shared<DemoArguments>();
  OptionTable table(app);
  table.section("Options");
  table.add("set", choice(&arguments->set, {{"words", "words"}, {"emoji", "emoji"}, {"both", "both"}}),
            "Data: words and definitions, emoji and names, or both");
  table.add("data", &arguments->data,
            "Directory with the folders words and emoji; default: those that ship with sotalign",
            Role::kDirectory);
  table.add("out", &arguments->out, "Directory for data and model, a folder for each set; it is created",
            Role::kDirectory);
  table.add("seeds", &arguments->seeds, "Seeds: one split and training each");
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
