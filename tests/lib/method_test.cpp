// Every training method against an independent loss: loops in double precision over a tiny problem. Their
// finite differences with respect to each parameter must equal the gradients of a step.
#include "sotalign/train/method.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <map>
#include <numeric>

#include "kernels/pick_neighbours.h"
#include "sotalign/core/random.h"
#include "sotalign/train/trainer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"
#include "support/method_oracle.h"

namespace sotalign {
namespace lib_method_test {

using namespace testing::oracle;
using testing::error_message;
using testing::random_normal;

constexpr const char* kMethods[] = {"sail", "sail_semi", "structure", "structure_semi", "nnclr", "sclip"};

constexpr int64_t kPairs = 6, kImages = 8, kTexts = 7, kImageDim = 5, kTextDim = 4, kDim = 3;

struct Data {
  std::vector<float> pair_images = random_normal(kPairs * kImageDim, 1),
                     pair_texts = random_normal(kPairs * kTextDim, 2),
                     images = random_normal(kImages * kImageDim, 3),
                     texts = random_normal(kTexts * kTextDim, 4);
  TrainingData view() const {
    return {.pair_images = {pair_images.data(), kPairs, kImageDim},
            .pair_texts = {pair_texts.data(), kPairs, kTextDim},
            .images = {images.data(), kImages, kImageDim},
            .texts = {texts.data(), kTexts, kTextDim}};
  }
};

/// Batches smaller than the data, so that rows are sampled; a learning rate at which steps differ; an
/// optimizer that uses more than the signs of gradients.
TrainOptions options_of(const std::string& method) {
  return {.method = method,
          .method_options = {{"structure_weight", 8.0},
                             {"structure_temperature", 0.3},
                             {"structure_warmup_steps", 3},
                             {"nnclr_neighbours", 3},
                             {"nnclr_image_weight", 0.7},
                             {"nnclr_text_weight", 1.6},
                             {"sclip_weight", 2.5},
                             {"sclip_epsilon", 0.2}},
          .teacher = {.ridge = 0.1, .dim = 2},
          .dim = kDim,
          .steps = 4,
          .schedule = {.peak = 0.02},
          .optimizer = {.kind = OptimizerKind::kAdamW},
          .batch_pairs = 5,
          .batch_unpaired = 4,
          .divergence_weight = 3,
          .math = ProductMath::kFp32,
          .seed = 7};
}

Rows rows_of(const std::vector<float>& values, int64_t cols) {
  Rows rows;
  for (size_t i = 0; i < values.size(); i += size_t(cols))
    rows.emplace_back(values.begin() + ptrdiff_t(i), values.begin() + ptrdiff_t(i) + cols);
  return rows;
}

/// One modality, preprocessed.
struct Modality {
  Modality(const std::vector<float>& pair_values, const std::vector<float>& values, int64_t cols)
      : pairs(rows_of(pair_values, cols)), unpaired(rows_of(values, cols)) {
    const Row mean = mean_of(joined(pairs, unpaired));
    for (Rows* rows : {&pairs, &unpaired}) {
      subtract(*rows, mean);
      *rows = normalized(*rows);
    }
  }
  Rows pairs, unpaired;
};

using Parameters = std::map<std::string, std::vector<double>>;

/// The objective that a step of a method minimizes.
class Oracle {
 public:
  struct Loss {
    double siglip = 0, total = 0;
    std::vector<double> terms;
  };

  explicit Oracle(const Data& data, const TrainOptions& options)
      : options_(options),
        image_(data.pair_images, data.images, kImageDim),
        text_(data.pair_texts, data.texts, kTextDim) {}

  Loss operator()(const Parameters& parameters, int64_t step) const {
    const LinearHead f = head(parameters, "image_head", kImageDim),
                     g = head(parameters, "text_head", kTextDim);
    const double scale = std::exp(parameters.at("log_scale")[0]), bias = parameters.at("bias")[0];
    const auto contrast = [&](const Rows& x, const Rows& y, size_t pairs) {
      return siglip(f(x), g(y), pairs, scale, bias);
    };
    const std::vector<int64_t> pairs = sample(kPairs, options_.batch_pairs, step, "sampler.pairs");
    const Rows a = take(image_.pairs, pairs), b = take(text_.pairs, pairs),
               x = take(image_.unpaired, sample(kImages, options_.batch_unpaired, step, "sampler.images")),
               y = take(text_.unpaired, sample(kTexts, options_.batch_unpaired, step, "sampler.texts"));
    Loss loss;
    loss.siglip = contrast(a, b, a.size());
    loss.total = loss.siglip;
    const auto add = [&](double weight, double term) {
      loss.terms.push_back(term);
      loss.total += weight * term;
    };
    const std::string& method = options_.method;
    if (method == "sail_semi") {
      loss.siglip = loss.total = contrast(joined(a, x), joined(b, y), a.size());
    } else if (method == "nnclr") {
      add(number("nnclr_image_weight"),
          contrast(neighbours(image_, pairs, step, "nnclr.images"), b, b.size()));
      add(number("nnclr_text_weight"), contrast(a, neighbours(text_, pairs, step, "nnclr.texts"), a.size()));
    } else if (method == "structure" || method == "structure_semi") {
      const bool semi = method == "structure_semi";
      const Rows images = semi ? joined(a, x) : a, texts = semi ? joined(b, y) : b;
      const double temperature = number("structure_temperature"),
                   warmup = double(method_option<int64_t>(options_, "structure_warmup_steps"));
      add(number("structure_weight") * std::min(1.0, double(step + 1) / warmup),
          (structure(images, f(images), temperature) + structure(texts, g(texts), temperature)) / 2);
    } else if (method == "sclip") {
      add(number("sclip_weight"), (cross_entropy(labels(x, a), products(f(x), g(b)), scale) +
                                   cross_entropy(labels(y, b), products(g(y), f(a)), scale)) /
                                      2);
    }
    return loss;
  }

 private:
  double number(const char* key) const { return method_option<double>(options_, key); }

  static LinearHead head(const Parameters& parameters, const std::string& name, int64_t cols) {
    LinearHead head{.weight = {}, .bias = parameters.at(name + ".0.bias")};
    const std::vector<double>& weight = parameters.at(name + ".0.weight");
    for (size_t i = 0; i < weight.size(); i += size_t(cols))
      head.weight.emplace_back(weight.begin() + ptrdiff_t(i), weight.begin() + ptrdiff_t(i) + cols);
    return head;
  }

  std::vector<int64_t> sample(int64_t population, int64_t batch, int64_t step, const char* stream) const {
    std::vector<int64_t> rows;
    BatchSampler(population, batch, options_.seed, stream_id(stream)).sample(step, rows);
    return rows;
  }

  Rows labels(const Rows& unpaired, const Rows& paired) const {
    const Rows k = products(unpaired, paired);
    const std::string kind = method_option<std::string>(options_, "sclip_labels");
    const double epsilon = number("sclip_epsilon");
    if (kind == "ot") return transport(k, epsilon);
    Rows labels;
    for (const Row& row : k) {
      labels.push_back(softmax(row, 1 / epsilon));
      if (kind == "soft") continue;
      const auto largest = std::max_element(row.begin(), row.end());
      for (size_t j = 0; j < row.size(); ++j) labels.back()[j] = row.begin() + ptrdiff_t(j) == largest;
    }
    return labels;
  }

  Rows neighbours(const Modality& modality, const std::vector<int64_t>& pairs, int64_t step,
                  const char* stream) const {
    Rows rows;
    const auto k = method_option<int64_t>(options_, "nnclr_neighbours");
    for (const int64_t pair : pairs) {
      const int64_t rank = kernels::neighbour_rank(
          {.k = k, .step = step, .key = RandomStream(options_.seed, stream_id(stream)).bits64(0)}, pair);
      const std::vector<int64_t> near = nearest(modality.pairs[size_t(pair)], modality.unpaired, k);
      rows.push_back(modality.unpaired[size_t(near[size_t(rank)])]);
    }
    return rows;
  }

  TrainOptions options_;
  Modality image_, text_;
};

class MethodTest : public testing::DeviceTest {
 protected:
  static Parameters parameters_of(const Trainer& trainer) {
    Parameters parameters;
    const ParameterSet& set = trainer.model().parameters;
    for (int i = 0; i < set.count(); ++i) {
      const std::vector<float> values = set.download(set[i].name);
      parameters[set[i].name] = {values.begin(), values.end()};
    }
    return parameters;
  }

  /// Compares the last step's gradients with the oracle's finite differences.
  static void expect_gradients(const Trainer& trainer, const Oracle& oracle, Parameters parameters,
                               int64_t step) {
    for (auto& [name, values] : parameters) {
      std::vector<double> expected;
      for (double& value : values) {
        const double kept = value, h = 1e-5;
        value = kept + h;
        const double above = oracle(parameters, step).total;
        value = kept - h;
        const double below = oracle(parameters, step).total;
        value = kept;
        expected.push_back((above - below) / (2 * h));
      }
      EXPECT_WITHIN(testing::relative_l1(trainer.model().parameters.download_gradient(name), expected), 2e-5)
          << name;
    }
  }

  /// Returns the parameters after all steps.
  Parameters trained(const TrainOptions& options) {
    Trainer trainer(context, data.view(), options);
    while (!trainer.finished()) trainer.train_step();
    return parameters_of(trainer);
  }

  Data data;
};
SOTALIGN_ON_EVERY_DEVICE(MethodTest);

TEST_P(MethodTest, LossAndGradientAreThoseOfTheDefinition) {
  for (const std::string method : kMethods) {
    SCOPED_TRACE(method);
    const TrainOptions options = options_of(method);
    const Oracle oracle(data, options);
    Trainer trainer(context, data.view(), options);
    for (int64_t step = 0; step < options.steps; ++step) {
      SCOPED_TRACE(step);
      const Parameters before = parameters_of(trainer);
      trainer.train_step();
      const Oracle::Loss expected = oracle(before, step);
      const StepMetrics metrics = trainer.metrics();
      EXPECT_WITHIN(std::abs(*metrics.siglip / expected.siglip - 1), 1e-6);
      EXPECT_WITHIN(std::abs(metrics.loss / expected.total - 1), 1e-6);
      EXPECT_FALSE(metrics.divergence.has_value());
      ASSERT_EQ(metrics.terms.size(), expected.terms.size());
      for (size_t i = 0; i < metrics.terms.size(); ++i)
        EXPECT_WITHIN(std::abs(metrics.terms[i].value / expected.terms[i] - 1), 1e-6)
            << metrics.terms[i].name;
      expect_gradients(trainer, oracle, before, step);
    }
  }
}

TEST_P(MethodTest, EveryKindOfPseudoLabel) {
  for (const char* labels : {"hard", "soft"}) {
    SCOPED_TRACE(labels);
    TrainOptions options = options_of("sclip");
    options.method_options["sclip_labels"] = labels;
    const Oracle oracle(data, options);
    Trainer trainer(context, data.view(), options);
    const Parameters before = parameters_of(trainer);
    trainer.train_step();
    EXPECT_WITHIN(std::abs(trainer.metrics().loss / oracle(before, 0).total - 1), 1e-6);
    expect_gradients(trainer, oracle, before, 0);
  }
}

TEST_P(MethodTest, SotalignWithoutItsDivergenceIsSail) {
  TrainOptions sotalign = options_of("sotalign");
  EXPECT_NE(trained(sotalign), trained(options_of("sail")));
  sotalign.divergence_weight = 0;
  EXPECT_EQ(trained(sotalign), trained(options_of("sail")));
}

TEST_P(MethodTest, OnlySotalignStartsFromTheTeacherUnlessAskedTo) {
  for (const std::string method : kMethods) {
    TrainOptions options = options_of(method);
    options.dim = 0;
    EXPECT_EQ(Trainer(context, data.view(), options).options().initialization, Initialization::kRandom);
    options.initialization = Initialization::kTeacher;
    EXPECT_EQ(Trainer(context, data.view(), options).options().dim, 2);
  }
}

TEST_P(MethodTest, SameSeedSameBitsAndResumeContinues) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("sotalign_method_" + std::to_string(::getpid()) + ".checkpoint"))
                               .string();
  for (const std::string method : kMethods) {
    SCOPED_TRACE(method);
    const TrainOptions options = options_of(method);
    Trainer stopped(context, data.view(), options), resumed(context, data.view(), options);
    stopped.train_step();
    stopped.train_step();
    stopped.save_checkpoint(path);
    resumed.load_checkpoint(path);
    while (!resumed.finished()) resumed.train_step();
    const Parameters straight = trained(options);
    EXPECT_EQ(parameters_of(resumed), straight);

    TrainOptions other = options;
    other.seed = 8;
    EXPECT_NE(trained(other), straight);
    Trainer another(context, data.view(), options_of(method == "sail" ? "sail_semi" : "sail"));
    EXPECT_THROW(another.load_checkpoint(path), IoError);
    std::filesystem::remove(path);
  }
}

TEST_P(MethodTest, EveryOptionChangesTheResultAndTheCheckpoint) {
  struct Change {
    const char *method, *key;
    OptionValue value;
  };
  const Change changes[] = {
      {"sail_semi", "batch_unpaired", 3},
      {"structure_semi", "batch_unpaired", 3},
      {"sclip", "batch_unpaired", 3},
      {"structure", "structure_weight", 3.0},
      {"structure_semi", "structure_temperature", 0.07},
      {"structure", "structure_warmup_steps", 0},
      {"sclip", "sclip_weight", 0.0},
      {"sclip", "sclip_labels", "soft"},
      {"sclip", "sclip_epsilon", 0.1},
      {"nnclr", "nnclr_neighbours", 2},
      {"nnclr", "nnclr_image_weight", 0.0},
      {"nnclr", "nnclr_text_weight", 0.4},
  };
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("sotalign_option_" + std::to_string(::getpid()) + ".checkpoint"))
                               .string();
  for (const auto& [method, key, value] : changes) {
    SCOPED_TRACE(std::string(method) + " " + key);
    TrainOptions options = options_of(method);
    options.steps = 2;
    options.method_options["structure_warmup_steps"] = 2;
    Trainer plain(context, data.view(), options);
    if (std::string(key) == "batch_unpaired")
      options.batch_unpaired = std::get<int64_t>(value);
    else
      options.method_options[key] = value;
    Trainer changed(context, data.view(), options);
    for (Trainer* trainer : {&plain, &changed})
      while (!trainer->finished()) trainer->train_step();
    EXPECT_NE(parameters_of(changed), parameters_of(plain));
    plain.save_checkpoint(path);
    EXPECT_THROW(changed.load_checkpoint(path), IoError);
    std::filesystem::remove(path);
  }
}

TEST_P(MethodTest, StepsAllocateNothingAndNeverWait) {
  for (const std::string method : kMethods) {
    SCOPED_TRACE(method);
    Trainer trainer(context, data.view(), options_of(method));
    trainer.train_step();
    trainer.train_step();
    const int64_t allocations = context.allocations(), copies = context.host_copies(),
                  waits = context.synchronizations();
    trainer.train_step();
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.host_copies(), copies);
    EXPECT_EQ(context.synchronizations(), waits);
  }
}

TEST_P(MethodTest, UnpairedRowsAreAskedForWhereTheyAreNeeded) {
  for (const std::string method : kMethods) {
    SCOPED_TRACE(method);
    for (const bool without_images : {true, false}) {
      TrainingData some = data.view();
      (without_images ? some.images : some.texts) = {};
      const std::string message =
          error_message([&] { Trainer(context, some, options_of(method)).train_step(); });
      EXPECT_EQ(message, !find_method(method).needs_unpaired
                             ? "no exception"
                             : "unpaired rows: method " + method + " needs images and texts, found " +
                                   (without_images ? "0 and 7" : "8 and 0"));
    }
  }
}

TEST_P(MethodTest, RefusesOptionsThatDoNotFit) {
  const auto message = [&](const char* method, const char* key, const OptionValue& value) {
    TrainOptions options = options_of(method);
    options.method_options[key] = value;
    return error_message([&] { Trainer(context, data.view(), options); });
  };
  EXPECT_EQ(message("structure", "structure_weight", -1),
            "structure_weight: expected a number >= 0, found -1");
  EXPECT_EQ(message("structure", "structure_temperature", 0.0),
            "structure_temperature: expected a number > 0, found 0");
  EXPECT_EQ(message("structure", "structure_warmup_steps", 5),
            "structure_warmup_steps: expected 0 to 4 (all steps), found 5");
  EXPECT_EQ(message("structure", "structure_warmup_steps", -1),
            "structure_warmup_steps: expected an integer >= 0, found -1");
  EXPECT_EQ(message("structure", "structure_warmup_steps", 1.5),
            "structure_warmup_steps: expected an integer >= 0, found 1.5");
  EXPECT_EQ(message("sclip", "sclip_weight", INFINITY), "sclip_weight: expected a number >= 0, found inf");
  EXPECT_EQ(message("sclip", "sclip_epsilon", std::nan("")),
            "sclip_epsilon: expected a number > 0, found nan");
  EXPECT_EQ(message("sclip", "sclip_labels", "OT"),
            "sclip_labels: expected one of hard, soft, ot, found 'OT'");
  EXPECT_EQ(message("nnclr", "nnclr_neighbours", 8),
            "nnclr_neighbours: expected 1 to 7 (unpaired texts), found 8");
  EXPECT_EQ(message("nnclr", "nnclr_neighbours", 9),
            "nnclr_neighbours: expected 1 to 8 (unpaired images), found 9");
  EXPECT_EQ(message("nnclr", "nnclr_neighbours", 0),
            "nnclr_neighbours: expected 1 to 8 (unpaired images), found 0");
  EXPECT_EQ(message("nnclr", "nnclr_image_weight", -1),
            "nnclr_image_weight: expected a number >= 0, found -1");
  EXPECT_EQ(message("nnclr", "nnclr_text_weight", std::nan("")),
            "nnclr_text_weight: expected a number >= 0, found nan");
  // Options of methods that are not trained are checked, too.
  EXPECT_EQ(message("sail", "nnclr_text_weight", -1), "nnclr_text_weight: expected a number >= 0, found -1");
  EXPECT_EQ(message("sail", "nnclr_wieght", 1), "nnclr_wieght: no method has an option of this name");
}

class PickNeighboursTest : public testing::DeviceTest {
 protected:
  std::vector<int64_t> pick(const std::vector<int64_t>& neighbours, int64_t k,
                            const std::vector<int64_t>& queries, int64_t step, uint64_t key) {
    const Buffer<int64_t> table(context, neighbours), asked(context, queries);
    Buffer<int64_t> picked(context, int64_t(queries.size()));
    kernels::pick_neighbours(context.queue(), {.neighbours = table.data(),
                                               .k = k,
                                               .queries = asked.data(),
                                               .picked = picked.data(),
                                               .count = picked.size(),
                                               .step = step,
                                               .key = key});
    return picked.download();
  }
};
SOTALIGN_ON_EVERY_DEVICE(PickNeighboursTest);

TEST_P(PickNeighboursTest, PicksFromTheRowOfTheQuery) {
  for (const int64_t k : {1, 2, 3, 7}) {
    const int64_t rows = 301;
    std::vector<int64_t> table(size_t(rows * k)), queries;
    std::iota(table.begin(), table.end(), 1000);
    for (int64_t i = 0; i < 600; ++i) queries.push_back(i * 7 % rows);
    const std::vector<int64_t> picked = pick(table, k, queries, 3, 5);
    for (size_t i = 0; i < queries.size(); ++i) {
      EXPECT_EQ((picked[i] - 1000) / k, queries[i]);
      EXPECT_EQ(
          picked[i],
          table[size_t(queries[i] * k + kernels::neighbour_rank({.k = k, .step = 3, .key = 5}, queries[i]))]);
    }
  }
}

/// Ranks are uniform along steps and along queries, and those of neighbouring steps, queries or keys are
/// independent.
TEST(PickNeighbours, ChoicesAreUniformAndIndependent) {
  const int64_t k = 5, n = 60;
  const auto rank = [&](uint64_t key, int64_t step, int64_t query) {
    return kernels::neighbour_rank({.k = k, .step = step, .key = key}, query);
  };
  double chi_squares[4] = {};
  std::vector<double> counts[4];
  for (auto& count : counts) count.assign(size_t(k * k), 0.0);
  for (int64_t step = 0; step < n; ++step)
    for (int64_t query = 0; query < n; ++query) {
      const int64_t own = rank(1, step, query) * k;
      ++counts[0][size_t(own + rank(1, step + 1, query))];
      ++counts[1][size_t(own + rank(1, step, query + 1))];
      ++counts[2][size_t(own + rank(2, step, query))];
      ++counts[3][size_t(own + rank(1, query, step))];
    }
  const double expected = double(n * n) / double(k * k);
  for (size_t i = 0; i < 4; ++i) {
    for (const double count : counts[i]) chi_squares[i] += (count - expected) * (count - expected) / expected;
    // 24 degrees of freedom; exceeds 60 once in 20,000 trials. Symmetric pairs in the last case count double.
    EXPECT_WITHIN(chi_squares[i], i == 3 ? 120.0 : 60.0) << i;
  }
}

}  // namespace lib_method_test
}  // namespace sotalign
