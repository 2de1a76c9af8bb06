// A method and a divergence from outside the library: made from public headers alone, registered, then
// trained like the built-in ones.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/train/method.h"
#include "sotalign/train/objective.h"
#include "sotalign/train/siglip_term.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_registry_test {

using testing::error_message;
using testing::random_normal;

/// sharpness / (2 n m) sum_ij (K_ij - K*_ij)^2, computed on the host.
class SquaredDifference : public Divergence {
 public:
  SquaredDifference(Context& context, int64_t rows, int64_t cols, double sharpness)
      : context_(&context), rows_(rows), cols_(cols), sharpness_(sharpness) {
    if (rows < 1 || cols < 1) throw InvalidArgument("squared: expected at least one entry");
  }
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double scale) override {
    std::vector<float> k = download(student), k_teacher = download(teacher);
    const double mean = sharpness_ / static_cast<double>(k.size());
    value_ = 0;
    for (size_t i = 0; i < k.size(); ++i) {
      const double difference = double(k[i]) - double(k_teacher[i]);
      value_ += mean * difference * difference / 2;
      k[i] = static_cast<float>(scale * mean * difference);
    }
    if (gradient.data != nullptr) context_->copy_to_device(gradient.data, k.data(), k.size() * sizeof(float));
  }
  DivergenceResult result() const override { return {"squared", value_}; }

 private:
  std::vector<float> download(ConstMatrixF k) const {
    std::vector<float> values(static_cast<size_t>(rows_ * cols_));
    context_->copy_to_host(values.data(), k.data, values.size() * sizeof(float));
    return values;
  }
  Context* context_;
  int64_t rows_, cols_;
  double sharpness_, value_ = 0;
};

/// SigLIP on the pairs with a weight of its own.
class Weighted : public Objective {
 public:
  explicit Weighted(const ObjectiveSetup& s)
      : siglip_(s.context, s.pairs, s.pairs, s.pairs),
        weight_(method_option<double>(s.options, "toy_weight")) {
    EXPECT_EQ(method_option<std::string>(s.options, "toy_mode"), "plain");
  }
  void run(const Step& step) override {
    siglip_.run(step.parameters, step.image.f, step.text.f, step.image.d_f, step.text.d_f, weight_);
  }
  void report(StepMetrics& metrics) const override { metrics.terms = {{"toy", siglip_.value(), weight_}}; }

 private:
  SiglipTerm siglip_;
  double weight_;
};

MethodInfo toy_method() {
  return {.name = "toy",
          .title = "Toy",
          .options = {{.key = "toy_weight",
                       .help = "weight of the only term",
                       .initial = 1.0,
                       .range = OptionRange::kPositive},
                      {.key = "toy_mode", .help = "", .initial = "plain", .choices = {"plain"}},
                      {.key = "toy_count", .help = "", .initial = 3, .range = OptionRange::kNotNegative}},
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<Weighted>(setup); }};
}

// KLOT that computes the teacher's plan in every step.
class ForgetfulKlot : public EmbeddingDivergence {
 public:
  explicit ForgetfulKlot(std::unique_ptr<EmbeddingDivergence> klot) : klot_(std::move(klot)) {}
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double scale) override {
    klot_->run(student, teacher, dx, dy, scale);
  }
  void keep_teacher() override { ++asked; }
  DivergenceResult result() const override { return klot_->result(); }
  static inline int64_t asked = 0;

 private:
  std::unique_ptr<EmbeddingDivergence> klot_;
};

DivergenceInfo forgetful_klot() {
  DivergenceInfo info = find_divergence("klot");
  info.name = "forgetful_klot";
  info.make_on_embeddings = [](Context& context, int64_t rows, int64_t cols, const DivergenceOptions& o,
                               KlotMemory memory) {
    return std::make_unique<ForgetfulKlot>(
        find_divergence("klot").make_on_embeddings(context, rows, cols, o, memory));
  };
  return info;
}

DivergenceInfo toy_divergence() {
  return {.name = "squared",
          .title = "Squared",
          .summary = "squared differences",
          .options = {{.key = "squared_sharpness", .help = "", .initial = 2.0}},
          .make = [](Context& context, int64_t rows, int64_t cols, const DivergenceOptions& options) {
            return std::make_unique<SquaredDifference>(
                context, rows, cols, divergence_option<double>(options, "squared_sharpness"));
          }};
}

/// Registers all once per process.
const bool kRegistered = [] {
  register_method(toy_method());
  register_divergence(toy_divergence());
  register_divergence(forgetful_klot());
  return true;
}();

class RegistryTest : public testing::DeviceTest {
 protected:
  static constexpr int64_t kPairs = 12, kRows = 20, kDim = 6;
  TrainingData data() const {
    return {.pair_images = {a.data(), kPairs, kDim},
            .pair_texts = {b.data(), kPairs, kDim},
            .images = {x.data(), kRows, kDim},
            .texts = {y.data(), kRows, kDim}};
  }
  static TrainOptions options() {
    return {.teacher = {.ridge = 0.01, .correlation_power = 0.5},
            .dim = 4,
            .steps = 5,
            .schedule = {.peak = 0.01},
            .batch_unpaired = 15,
            .seed = 3};
  }
  std::vector<float> trained(const TrainOptions& options) {
    Trainer trainer(context, data(), options);
    while (!trainer.finished()) trainer.train_step();
    last = trainer.metrics();
    return trainer.model().parameters.download("image_head.0.weight");
  }
  std::vector<float> a = random_normal(kPairs * kDim, 1), b = random_normal(kPairs * kDim, 2),
                     x = random_normal(kRows * kDim, 3), y = random_normal(kRows * kDim, 4);
  StepMetrics last{};
};
SOTALIGN_ON_EVERY_DEVICE(RegistryTest);

TEST_P(RegistryTest, ARegisteredMethodTrains) {
  TrainOptions sail = options(), toy = options();
  sail.method = "sail", toy.method = "toy";
  EXPECT_EQ(trained(toy), trained(sail));  // SigLIP with weight 1
  toy.optimizer.kind = OptimizerKind::kAdamW;
  toy.method_options["toy_weight"] = 3;  // integers are accepted
  trained(toy);
  EXPECT_EQ(last.terms.at(0).weight, 3.0);
  EXPECT_EQ(last.loss, 3.0 * last.terms[0].value);
}

// Steps of all rows have the same teacher's plan, others have one each.
TEST_P(RegistryTest, AKeptTeachersPlanChangesNoBitOfTraining) {
  for (const int64_t batch : {1000, 20, 19})
    for (const KlotMemory memory : {KlotMemory::kStored, KlotMemory::kFixed16, KlotMemory::kStreamed}) {
      SCOPED_TRACE(std::to_string(batch) + " " + to_string(memory));
      TrainOptions klot = options();
      klot.batch_unpaired = batch;
      klot.affinity_memory = memory;
      klot.divergence.student.iterations = klot.divergence.teacher.iterations = 12;
      TrainOptions forgetful = klot;
      forgetful.divergence.name = "forgetful_klot";
      const int64_t asked = ForgetfulKlot::asked;
      EXPECT_EQ(trained(klot), trained(forgetful));
      EXPECT_EQ(ForgetfulKlot::asked - asked, batch < kRows ? 0 : 1);
    }
}

TEST_P(RegistryTest, ARegisteredDivergenceTrains) {
  TrainOptions squared = options();
  squared.divergence.name = "squared";
  const std::vector<float> weights = trained(squared);
  ASSERT_TRUE(last.divergence.has_value());
  EXPECT_EQ(last.divergence->name, "squared");
  EXPECT_WITHIN(std::abs(last.loss - *last.siglip - squared.divergence_weight * last.divergence->value),
                1e-12);
  squared.divergence.values["squared_sharpness"] = 2.0;  // the default
  EXPECT_EQ(trained(squared), weights);
  squared.divergence.values["squared_sharpness"] = 20.0;
  EXPECT_NE(trained(squared), weights);
}

// The gradients that reach the heads are those of the divergence.
TEST_P(RegistryTest, GradientsOfEmbeddingsAgreeWithFiniteDifferences) {
  const int64_t n = 5, m = 4, d = 3;
  std::vector<float> f = random_normal(n * d, 5);
  const std::vector<float> g = random_normal(m * d, 6), ft = random_normal(n * d, 7),
                           gt = random_normal(m * d, 8);
  const auto value = [&](const std::vector<float>& rows) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        double k = 0, k_teacher = 0;
        for (int64_t c = 0; c < d; ++c) {
          k += double(rows[i * d + c]) * double(g[j * d + c]);
          k_teacher += double(ft[i * d + c]) * double(gt[j * d + c]);
        }
        sum += (k - k_teacher) * (k - k_teacher);
      }
    return 2.0 * sum / double(2 * n * m);
  };
  const Matrix<float> df(context, f.data(), n, d), dg(context, g.data(), m, d), dft(context, ft.data(), n, d),
      dgt(context, gt.data(), m, d);
  Matrix<float> dx(context, n, d), dy(context, m, d);
  const auto divergence = make_embedding_divergence(context, n, m, {.name = "squared"});
  divergence->run({df, dg}, {dft, dgt}, dx, dy, 1.5);
  EXPECT_WITHIN(std::abs(divergence->result().value - value(f)), 1e-5);
  std::vector<double> expected;
  for (float& entry : f) {
    const float kept = entry, h = 1.0f / 256;  // the value is quadratic: central differences are exact
    entry = kept + h;
    const double above = value(f);
    entry = kept - h;
    expected.push_back(1.5 * (above - value(f)) / (double(kept + h) - double(kept - h)));
    entry = kept;
  }
  EXPECT_WITHIN(testing::relative_l1(dx.download(), expected), 1e-5);
}

TEST_P(RegistryTest, CheckpointsKnowRegisteredOptions) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("sotalign_registry_" + std::to_string(::getpid()) + ".checkpoint"))
                               .string();
  TrainOptions saved = options();
  saved.divergence.name = "squared";
  Trainer trainer(context, data(), saved);
  trainer.train_step();
  trainer.save_checkpoint(path);
  Trainer(context, data(), saved).load_checkpoint(path);
  TrainOptions other = saved;
  other.divergence.values["squared_sharpness"] = 3.0;
  EXPECT_THROW(Trainer(context, data(), other).load_checkpoint(path), IoError);
  saved.method = other.method = "toy";
  Trainer toy(context, data(), saved);
  toy.train_step();
  toy.save_checkpoint(path);
  other = saved;
  other.method_options["toy_weight"] = 3.0;
  EXPECT_THROW(Trainer(context, data(), other).load_checkpoint(path), IoError);
  std::filesystem::remove(path);
}

TEST_P(RegistryTest, ValuesAreChecked) {
  const auto message = [&](const char* key, const OptionValue& value) {
    TrainOptions changed = options();
    changed.method = "toy";
    changed.method_options[key] = value;
    return error_message([&] { Trainer(context, data(), changed); });
  };
  EXPECT_EQ(message("toy_weight", 0), "toy_weight: expected a number > 0, found 0");
  EXPECT_EQ(message("toy_weight", "3"), "toy_weight: expected a number > 0, found '3'");
  EXPECT_EQ(message("toy_count", 2.5), "toy_count: expected an integer >= 0, found 2.5");
  EXPECT_EQ(message("toy_count", -1), "toy_count: expected an integer >= 0, found -1");
  EXPECT_EQ(message("toy_mode", "fancy"), "toy_mode: expected one of plain, found 'fancy'");
  EXPECT_EQ(message("toy_wieght", 1.0), "toy_wieght: no method has an option of this name");
  TrainOptions changed = options();
  changed.divergence.values["squared_sharpness"] = std::nan("");
  EXPECT_EQ(error_message([&] { Trainer(context, data(), changed); }),
            "squared_sharpness: expected a number, found nan");
  changed = options();
  changed.method = "Toy";
  EXPECT_EQ(error_message([&] { Trainer(context, data(), changed); }),
            "method: expected one of sotalign, sail, sail_semi, structure, structure_semi, nnclr, sclip, "
            "self_training, toy, "
            "found 'Toy'");
  changed.method = "sotalign", changed.divergence.name = "KLOT";
  EXPECT_EQ(error_message([&] { Trainer(context, data(), changed); }),
            "divergence: expected one of klot, infonce, cka, squared, forgetful_klot, found 'KLOT'");
}

TEST(Registry, RefusesIncompleteAndConflictingEntries) {
  const auto message = [](auto&& change) {
    MethodInfo info = toy_method();
    info.name = "other";
    change(info);
    return error_message([&] { register_method(info); });
  };
  EXPECT_EQ(message([](MethodInfo& m) { m.name = "toy"; }), "method 'toy': the name is taken");
  EXPECT_EQ(message([](MethodInfo& m) { m.name = "sail"; }), "method 'sail': the name is taken");
  EXPECT_EQ(message([](MethodInfo& m) { m.name = ""; }), "method: expected a name, found none");
  EXPECT_EQ(message([](MethodInfo& m) { m.make = nullptr; }), "method 'other': expected make, found none");
  EXPECT_EQ(message([](MethodInfo& m) { m.options[0].initial = 2.0; }),
            "method 'other': toy declares the option 'toy_weight' differently");
  EXPECT_EQ(
      message([](MethodInfo& m) {
        m.options = {{.key = "twice", .help = "", .initial = 1}, {.key = "twice", .help = "", .initial = 1}};
      }),
      "method 'other': the option 'twice' is declared twice");
  EXPECT_EQ(message([](MethodInfo& m) {
              m.options = {{.key = "bad", .help = "", .initial = 0.0, .range = OptionRange::kPositive}};
            }),
            "bad: expected a number > 0, found 0");
  EXPECT_THROW(find_method("other"), InvalidArgument);  // nothing of these was kept
  DivergenceInfo divergence = toy_divergence();
  EXPECT_EQ(error_message([&] { register_divergence(divergence); }),
            "divergence 'squared': the name is taken");
  TrainOptions options;
  EXPECT_EQ(error_message([&] { method_option<int64_t>(options, "toy_weight"); }),
            "toy_weight: 1 has another type than its reader");
}

TEST(Registry, ListsWhatItKnows) {
  EXPECT_EQ(method_names(),
            (std::vector<std::string>{"sotalign", "sail", "sail_semi", "structure", "structure_semi", "nnclr",
                                      "sclip", "self_training", "toy"}));
  EXPECT_EQ(divergence_names(),
            (std::vector<std::string>{"klot", "infonce", "cka", "squared", "forgetful_klot"}));
  std::vector<std::string> keys;
  for (const OptionInfo& option : declared_method_options()) keys.push_back(option.key);
  EXPECT_EQ(keys, (std::vector<std::string>{
                      "structure_weight", "structure_temperature", "structure_warmup_steps",
                      "nnclr_neighbours", "nnclr_image_weight", "nnclr_text_weight", "sclip_weight",
                      "sclip_labels", "sclip_epsilon", "toy_weight", "toy_mode", "toy_count"}));
  EXPECT_EQ(find_method("sclip").title, "S-CLIP");
  TrainOptions options;
  EXPECT_EQ(effective_method(options).name, "sotalign");
  options.divergence_weight = 0;
  EXPECT_EQ(effective_method(options).name, "sail");
}

}  // namespace lib_registry_test
}  // namespace sotalign
