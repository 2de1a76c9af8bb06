// sotalign demo: trains on 200 pairs of emoji and names, plus 1311 unpaired emoji and 1311 unpaired names. Do
// the unpaired rows help to match 400 test emoji with their names?
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/emoji.h"
#include "data/inputs.h"
#include "run/experiment.h"
#include "run/progress.h"
#include "run/run_lock.h"
#include "sotalign/eval/top_k.h"
#include "sotalign/io/npy.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

constexpr int64_t kPairs = 200, kTest = 400;
constexpr int64_t kShown = 5;  // results per query, and queries per direction
constexpr size_t kWidth = 100;

struct Arguments {
  std::string data, out;
  uint64_t seed = 0;
  Machine machine;
};

/// The test rows in the shared space of one method.
struct Method {
  std::string name;
  HostMatrix images, texts;
  RetrievalResult result;
  RetrievalRanks ranks;
  double seconds = 0;
};

/// One direction of retrieval, as the demo shows it.
struct Direction {
  std::string title;
  std::vector<int64_t> sail_ranks, ranks;
  TopKResult sail, sotalign;
};

/// UTF-8 text, cut to at most `width` characters.
std::string shortened(const std::string& text, size_t width) {
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  if (static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character)) <= width) return text;
  size_t end = 0;
  for (size_t characters = 0; characters < width; ++end) characters += starts_character(text[end]) ? 1 : 0;
  return text.substr(0, end - 1) + "…";
}

class Demo {
 public:
  explicit Demo(const Arguments& arguments)
      : arguments_(arguments),
        context_(make_context(arguments.machine)),
        emoji_(read_emoji(find_emoji(arguments.data))),
        split_(split_rows(emoji_.images.rows(), {.pairs = kPairs, .test = kTest}, arguments.seed)),
        pair_images_(take_rows(emoji_.images, split_.pairs)),
        pair_texts_(take_rows(emoji_.texts, split_.pairs)),
        images_(take_rows(emoji_.images, split_.unpaired_images)),
        texts_(take_rows(emoji_.texts, split_.unpaired_texts)),
        test_images_(take_rows(emoji_.images, split_.test)),
        test_texts_(take_rows(emoji_.texts, split_.test)),
        progress_(arguments.machine.quiet ? Progress::Verbosity::kQuiet : Progress::Verbosity::kNormal) {}

  int run() {
    std::optional<RunLock> lock;
    if (!arguments_.out.empty()) lock.emplace(arguments_.out, RunLock::Kind::kNew, "sotalign demo");
    progress_.print(fmt::format(
        "{} emoji, embedded by an image encoder (MobileNetV2), and their names, embedded by a text\n"
        "encoder (Universal Sentence Encoder). The encoders were trained independently. {} emoji are paired\n"
        "with their names. {} more emoji and their names are known, but not which belongs to which.\n"
        "{} are for testing.\n",
        emoji_.images.rows(), kPairs, images_.rows(), kTest));
    progress_.print("device    " + describe_device(context_, arguments_.machine));

    TrainOptions sail, sotalign;
    sail.seed = sotalign.seed = arguments_.seed;
    sail.divergence_weight = 0;
    Trainer sail_trainer = train("SAIL", sail);
    Trainer sotalign_trainer = train("SOTAlign", sotalign);
    const Method& last = methods_.back();
    add_method("teacher", sotalign_trainer.model(), Projection::kTeacher, last.seconds - training_seconds_);
    std::rotate(methods_.begin(), methods_.end() - 1, methods_.end());

    std::vector<RetrievalRow> rows;
    for (const Method& method : methods_) rows.push_back({method.name, method.result, method.seconds});
    progress_.print(
        fmt::format("Retrieval among {} test emoji, percent\n\n{}", kTest, retrieval_table(rows)));
    progress_.print(
        "  teacher: linear map fitted on the pairs; SAIL: trained on the pairs only;\n"
        "  SOTAlign: trained on the pairs and, guided by the teacher, on the unpaired rows.\n");
    show_retrievals();
    if (lock) lock->begun();
    sotalign_trainer.add_bank({.seed = arguments_.seed});
    if (lock) save(sotalign_trainer.model());
    suggest();
    return 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  Trainer train(const std::string& name, const TrainOptions& options) {
    const Clock::time_point start = Clock::now();
    const TrainingData data{.pair_images = pair_images_.view(),
                            .pair_texts = pair_texts_.view(),
                            .images = images_.view(),
                            .texts = texts_.view()};
    Trainer trainer(context_, data, options);
    const Clock::time_point prepared = Clock::now();
    progress_.start(name, 0, options.steps);
    while (!trainer.finished()) {
      trainer.train_step();
      if (progress_.due())
        progress_.update(trainer.steps_done(), fmt::format("loss {:.4f}", trainer.metrics().loss));
    }
    const double loss = trainer.metrics().loss;
    training_seconds_ = since(prepared);
    add_method(name, trainer.model(), Projection::kHeads, since(start));
    progress_.print(
        fmt::format("{:9} {} steps in {}, loss {:.4f}", name, options.steps, duration(since(start)), loss));
    if (name == "SOTAlign") progress_.print("");
    return trainer;
  }

  void add_method(const std::string& name, const Model& model, Projection projection, double seconds) {
    Method method{.name = name,
                  .images = embed(context_, model, Side::kX, projection, "test images", test_images_),
                  .texts = embed(context_, model, Side::kY, projection, "test texts", test_texts_),
                  .result = {},
                  .ranks = {},
                  .seconds = seconds};
    const Matrix<float> images = upload(context_, method.images), texts = upload(context_, method.texts);
    method.result = retrieval(context_, images, texts);
    method.ranks = retrieval_ranks(context_, images, texts);
    methods_.push_back(std::move(method));
  }

  std::string emoji_name(int64_t test_row, size_t width) const {
    return shortened(emoji_.names[static_cast<size_t>(split_.test[static_cast<size_t>(test_row)])], width);
  }
  const std::string& emoji_glyph(int64_t test_row) const {
    return emoji_.glyphs[static_cast<size_t>(split_.test[static_cast<size_t>(test_row)])];
  }

  TopKResult best(const Method& method, bool from_texts) {
    const Matrix<float> images = upload(context_, method.images), texts = upload(context_, method.texts);
    return from_texts ? top_k(context_, texts, images, kShown) : top_k(context_, images, texts, kShown);
  }

  void show_retrievals() {
    const Method &sail = methods_[1], &sotalign = methods_[2];
    show({.title = "Name to emoji",
          .sail_ranks = sail.ranks.text_to_image,
          .ranks = sotalign.ranks.text_to_image,
          .sail = best(sail, true),
          .sotalign = best(sotalign, true)});
    show({.title = "Emoji to name",
          .sail_ranks = sail.ranks.image_to_text,
          .ranks = sotalign.ranks.image_to_text,
          .sail = best(sail, false),
          .sotalign = best(sotalign, false)});
  }

  /// Queries that show the difference, and one that SOTAlign gets wrong.
  static std::vector<int64_t> choose_queries(const Direction& direction) {
    std::vector<int64_t> chosen;
    const auto take = [&](size_t most, auto&& wanted) {
      for (size_t i = 0; i < direction.ranks.size() && chosen.size() < most; ++i)
        if (wanted(direction.ranks[i], direction.sail_ranks[i])) chosen.push_back(static_cast<int64_t>(i));
    };
    take(kShown - 1, [](int64_t rank, int64_t sail) { return rank == 1 && sail > 1; });
    take(chosen.size() + 1, [](int64_t rank, int64_t) { return rank > kShown; });
    return chosen;
  }

  void show(const Direction& direction) {
    const std::vector<int64_t> queries = choose_queries(direction);
    progress_.print(
        fmt::format("{}: the top {} results, with the [correct one] in brackets. SOTAlign gets these test\n"
                    "queries right and SAIL does not, except for the last one, which SOTAlign gets wrong:\n",
                    direction.title, kShown));
    for (const int64_t query : queries) {
      progress_.print(fmt::format("  {} {}", emoji_glyph(query), emoji_name(query, kWidth - 8)));
      progress_.print(results("SOTAlign", direction.sotalign, query, direction.ranks));
      progress_.print(results("SAIL", direction.sail, query, direction.sail_ranks) + "\n");
    }
  }

  std::string results(const std::string& name, const TopKResult& found, int64_t query,
                      const std::vector<int64_t>& ranks) const {
    constexpr size_t kNameWidth = 10;
    std::string line = fmt::format("    {:8} ", name);
    for (int64_t i = 0; i < found.k; ++i) {
      const int64_t row = found.indices[static_cast<size_t>(query * found.k + i)];
      const std::string cell = emoji_glyph(row) + " " + emoji_name(row, kNameWidth);
      line += row == query ? fmt::format(" [{}]", cell) : fmt::format("  {}", cell);
    }
    const int64_t rank = ranks[static_cast<size_t>(query)];
    return rank == 1 ? line : line + fmt::format("  (rank {})", rank);
  }

  /// Saves everything that the other commands need to repeat this.
  void save(const Model& model) {
    const std::string& out = arguments_.out;
    write_npy(out + "/pairs_images.npy", pair_images_.view());
    write_npy(out + "/pairs_texts.npy", pair_texts_.view());
    write_npy(out + "/images.npy", images_.view());
    write_npy(out + "/texts.npy", texts_.view());
    write_npy(out + "/test_images.npy", test_images_.view());
    write_npy(out + "/test_texts.npy", test_texts_.view());
    model.save(out + "/model.safetensors", {{"sotalign", version()}});
  }

  void suggest() {
    if (arguments_.out.empty()) {
      progress_.print(
          "Next: save the data and the model, to try the other commands on them:\n\n"
          "  sotalign demo --out emoji\n\n"
          "or train on your own embeddings, .npy or .safetensors with one embedding per row:\n\n"
          "  sotalign train --pairs-images PI.npy --pairs-texts PT.npy --images I.npy --texts T.npy --out "
          "RUN");
      return;
    }
    progress_.print(fmt::format(
        "The data and the model are in {0}. Next: evaluate the model, or train another one:\n\n"
        "  sotalign eval --model {0}/model.safetensors --images {0}/test_images.npy \\\n"
        "    --texts {0}/test_texts.npy\n"
        "  sotalign train --pairs-images {0}/pairs_images.npy --pairs-texts {0}/pairs_texts.npy \\\n"
        "    --images {0}/images.npy --texts {0}/texts.npy --out {0}/run",
        arguments_.out));
  }

  const Arguments& arguments_;
  Context context_;
  Emoji emoji_;
  Split split_;
  HostMatrix pair_images_, pair_texts_, images_, texts_, test_images_, test_texts_;
  Progress progress_;
  std::vector<Method> methods_;
  double training_seconds_ = 0;  // of the last method's steps, without setup and teacher
};

}  // namespace

Action add_demo(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  OptionTable table(app);
  table.section("Options");
  table.add("data", &arguments->data,
            "Directory of the emoji data; default: the data that ships with sotalign", Role::kPath);
  table.add("out", &arguments->out, "Directory for the data and the model; it is created", Role::kPath);
  table.add("seed", &arguments->seed, "Seed of the split, the weights and the batches");
  add_machine_options(table, arguments->machine);
  return [arguments] { return Demo(*arguments).run(); };
}

}  // namespace sotalign::app
