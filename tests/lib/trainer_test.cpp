// The trainer on small synthetic pairs of modalities: two random linear views of common factors.
#include "sotalign/train/trainer.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/parameter_values.h"

namespace sotalign {
namespace lib_trainer_test {

using testing::random_normal;

constexpr const char* kDivergences[] = {"klot", "infonce", "cka"};

struct Views {
  std::vector<float> images, texts;
  int64_t dx, dy;
  ConstMatrixF image_rows(int64_t first, int64_t count) const {
    return {images.data() + first * dx, count, dx};
  }
  ConstMatrixF text_rows(int64_t first, int64_t count) const {
    return {texts.data() + first * dy, count, dy};
  }
};

Views make_views(int64_t rows, int64_t factors, int64_t dx, int64_t dy, float noise, uint64_t seed) {
  const std::vector<float> z = random_normal(rows * factors, seed),
                           wx = random_normal(factors * dx, seed + 1),
                           wy = random_normal(factors * dy, seed + 2);
  Views views{random_normal(rows * dx, seed + 3, noise), random_normal(rows * dy, seed + 4, noise), dx, dy};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t f = 0; f < factors; ++f) {
      for (int64_t j = 0; j < dx; ++j) views.images[i * dx + j] += z[i * factors + f] * wx[f * dx + j];
      for (int64_t j = 0; j < dy; ++j) views.texts[i * dy + j] += z[i * factors + f] * wy[f * dy + j];
    }
  return views;
}

class TrainerTest : public testing::DeviceTest {
 protected:
  Views views = make_views(400, 12, 24, 20, 1.0f, 1);
  TrainingData data() const {
    return {.pair_images = views.image_rows(0, 40),
            .pair_texts = views.text_rows(0, 40),
            .images = views.image_rows(40, 150),
            .texts = views.text_rows(60, 170),
            .validation_images = views.image_rows(300, 100),
            .validation_texts = views.text_rows(300, 100)};
  }
  /// With the plain teacher: the choice of a teacher has tests of its own.
  TrainOptions options() const {
    return {.teacher = {.ridge = 0.01, .correlation_power = 0.5},
            .dim = 16,
            .steps = 12,
            .schedule = {.peak = 3e-3},
            .batch_unpaired = 60,
            .divergence_weight = 3.0,
            .seed = 7};
  }
  static std::vector<float> values(const Trainer& trainer) {
    return testing::values_of(trainer.model().parameters);
  }
  static void train(Trainer& trainer, int64_t steps) {
    for (int64_t i = 0; i < steps; ++i) trainer.train_step();
  }
  std::string temporary(const std::string& name) const {
    return (std::filesystem::temp_directory_path() /
            ("sotalign_trainer_" + std::to_string(::getpid()) + "_" + name))
        .string();
  }
};
SOTALIGN_ON_EVERY_DEVICE(TrainerTest);

TEST_P(TrainerTest, LossFallsAndRetrievalImproves) {
  TrainOptions o = options();
  o.steps = 25;
  o.schedule.peak = 1e-2;
  Trainer trainer(context, data(), o);
  const double before = trainer.validate().mean_r1;
  trainer.train_step();
  const StepMetrics first = trainer.metrics();
  ASSERT_TRUE(first.divergence.has_value());
  EXPECT_NEAR(first.loss, *first.siglip + 3.0 * first.divergence->value, 1e-9 * first.loss);
  train(trainer, 24);
  EXPECT_LT(trainer.metrics().loss, 0.7 * first.loss);
  EXPECT_GT(trainer.validate().mean_r1, before + 0.2);
  EXPECT_TRUE(trainer.finished());
  EXPECT_THROW(trainer.train_step(), InvalidArgument);
}

// Checks the gradient of the whole step, through cosines, gathers and both terms: one Lion step at a tiny
// rate changes the loss as the gradient predicts. Lion moves along the sign of the gradient, so the change is
// -rate * |g|_1.
TEST_P(TrainerTest, StepFollowsTheGradientOfTheLoss) {
  for (const std::string name : kDivergences) {
    SCOPED_TRACE(name);
    TrainOptions o = options();
    o.math = ProductMath::kFp32;  // rounded factors would make the loss a function with steps
    o.batch_unpaired = 1000;      // all rows in every step, so that the loss function stays the same
    o.optimizer = {.kind = OptimizerKind::kLion, .weight_decay = 0.0};
    o.schedule = {.kind = ScheduleKind::kConstant, .peak = 1e-5};
    o.divergence.name = name;
    o.divergence_weight = name == "cka" ? 30.0 : 3.0;  // as much of the loss as SigLIP's
    o.divergence.student.iterations = o.divergence.teacher.iterations =
        500;  // the gradient is that of the converged divergence
    Trainer trainer(context, data(), o);
    trainer.train_step();
    const double before = trainer.metrics().loss;
    double gradient_l1 = 0;
    const ParameterSet& parameters = trainer.model().parameters;
    for (int i = 0; i < parameters.count(); ++i)
      for (const float g : parameters.download_gradient(parameters[i].name))
        gradient_l1 += std::abs(double(g));
    trainer.train_step();
    const double predicted = -1e-5 * gradient_l1, actual = trainer.metrics().loss - before;
    EXPECT_WITHIN(std::abs(actual - predicted), 0.02 * std::abs(predicted));
  }
}

// Training reports each divergence and reduces it.
TEST_P(TrainerTest, EveryDivergenceRegularises) {
  for (const std::string name : {"infonce", "cka"}) {
    SCOPED_TRACE(name);
    TrainOptions o = options();
    o.divergence.name = name;
    o.batch_unpaired = 1000;    // all rows in every step
    o.divergence_weight = 300;  // dominates the loss
    o.schedule.kind = ScheduleKind::kConstant;
    o.schedule.peak = 1e-2;
    Trainer trainer(context, data(), o);
    EXPECT_FALSE(trainer.affinity_memory().has_value());
    trainer.train_step();
    const StepMetrics first = trainer.metrics();
    ASSERT_TRUE(first.divergence.has_value());
    EXPECT_EQ(first.divergence->name, name);
    EXPECT_FALSE(first.divergence->klot.has_value());
    EXPECT_NEAR(first.loss, *first.siglip + 300 * first.divergence->value, 1e-9 * first.loss);
    const std::string path = temporary("divergence");
    trainer.save_checkpoint(path);
    train(trainer, 5);
    EXPECT_LT(trainer.metrics().divergence->value, 0.9 * first.divergence->value);

    Trainer resumed(context, data(), o);
    resumed.load_checkpoint(path);
    train(resumed, 5);
    EXPECT_EQ(values(trainer), values(resumed));
    o.divergence.name = "klot";
    Trainer other(context, data(), o);
    EXPECT_THROW(other.load_checkpoint(path), IoError);
    std::filesystem::remove(path);
  }
}

TEST_P(TrainerTest, SameSeedSameBitsOtherSeedOtherBits) {
  Trainer a(context, data(), options()), b(context, data(), options());
  TrainOptions other = options();
  other.seed = 8;
  Trainer c(context, data(), other);
  for (Trainer* trainer : {&a, &b, &c}) train(*trainer, 5);  // more than one pass over the unpaired rows
  EXPECT_EQ(values(a), values(b));
  EXPECT_NE(values(a), values(c));
}

TEST_P(TrainerTest, ResumeContinuesBitForBit) {
  for (const OptimizerKind kind : {OptimizerKind::kLion, OptimizerKind::kAdamW}) {
    TrainOptions o = options();
    o.optimizer.kind = kind;
    Trainer straight(context, data(), o), stopped(context, data(), o), resumed(context, data(), o);
    train(straight, 3);
    const double score = straight.validate().mean_reciprocal_rank;
    train(straight, 3);
    train(stopped, 3);
    stopped.validate();
    const std::string path = temporary("checkpoint");
    stopped.save_checkpoint(path);
    resumed.load_checkpoint(path);
    EXPECT_EQ(resumed.steps_done(), 3);
    EXPECT_EQ(resumed.best_score(), score);
    train(resumed, 3);
    EXPECT_EQ(values(straight), values(resumed));
    resumed.restore_best();
    EXPECT_EQ(values(stopped), values(resumed));

    TrainOptions other_steps = o, other_teacher = o, other_math = o;
    other_steps.steps = 13;
    other_math.math = ProductMath::kBf16;
    other_teacher.divergence.teacher.relaxation = 1.1;
    for (const TrainOptions& other : {other_steps, other_teacher, other_math}) {
      Trainer different(context, data(), other);
      EXPECT_THROW(different.load_checkpoint(path), IoError);
    }
    std::filesystem::remove(path);
  }
}

// Batches larger than the sets: every step has all rows, and the teacher's plan is kept.
TEST_P(TrainerTest, StepsOfAllRowsResumeBitForBit) {
  TrainingData some_rows = data();
  some_rows.images = views.image_rows(40, 33);
  some_rows.texts = views.text_rows(60, 31);
  TrainingData one_row = some_rows;
  one_row.images = views.image_rows(40, 1);
  for (const TrainingData& rows : {some_rows, one_row})
    for (const KlotMemory memory : {KlotMemory::kStored, KlotMemory::kFixed16, KlotMemory::kStreamed}) {
      SCOPED_TRACE(to_string(memory));
      TrainOptions o = options();
      o.batch_unpaired = 1000;
      o.affinity_memory = memory;
      o.divergence.student.iterations = o.divergence.teacher.iterations = 12;
      Trainer straight(context, rows, o), stopped(context, rows, o), resumed(context, rows, o);
      train(straight, 4);
      train(stopped, 2);
      const std::string path = temporary("all_rows");
      stopped.save_checkpoint(path);
      resumed.load_checkpoint(path);
      train(resumed, 2);
      EXPECT_EQ(values(straight), values(resumed));
      std::filesystem::remove(path);
    }
}

TEST_P(TrainerTest, StepsAllocateNothingAndNeverWait) {
  for (const std::string name : kDivergences) {
    SCOPED_TRACE(name);
    TrainOptions o = options();
    o.divergence.name = name;
    Trainer trainer(context, data(), o);
    train(trainer, 2);
    const int64_t allocations = context.allocations(), copies = context.host_copies(),
                  waits = context.synchronizations();
    train(trainer, 5);
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.host_copies(), copies);
    EXPECT_EQ(context.synchronizations(), waits);
  }
}

TEST_P(TrainerTest, AffinitiesNeedNotBeStored) {
  Trainer stored(context, data(), options());
  EXPECT_EQ(stored.options().affinity_memory, KlotMemory::kStored);
  train(stored, 4);
  for (const KlotMemory memory : {KlotMemory::kFixed16, KlotMemory::kStreamed}) {
    TrainOptions o = options();
    o.affinity_memory = memory;
    Trainer trainer(context, data(), o), resumed(context, data(), o);
    EXPECT_EQ(trainer.affinity_memory()->memory, memory);
    train(trainer, 2);
    const std::string path = temporary("memory");
    trainer.save_checkpoint(path);
    EXPECT_THROW(stored.load_checkpoint(path), IoError);
    resumed.load_checkpoint(path);
    const int64_t allocations = context.allocations();
    train(trainer, 2);
    EXPECT_EQ(context.allocations(), allocations);
    train(resumed, 2);
    EXPECT_EQ(values(trainer), values(resumed));
    EXPECT_WITHIN(std::abs(trainer.metrics().divergence->value - stored.metrics().divergence->value),
                  1e-3 * stored.metrics().divergence->value);
    std::filesystem::remove(path);
  }
  TrainOptions o = options();
  o.affinity_memory_mib = 1e-3;
  EXPECT_EQ(Trainer(context, data(), o).options().affinity_memory, KlotMemory::kStreamed);
  o.divergence_weight = 0;
  EXPECT_FALSE(Trainer(context, data(), o).affinity_memory().has_value());
}

TEST_P(TrainerTest, SailNeedsNoUnpairedRowsAndIgnoresThem) {
  TrainOptions o = options();
  o.divergence_weight = 0;
  TrainingData pairs_only = data();
  pairs_only.images = pairs_only.texts = {};
  Trainer trainer(context, pairs_only, o);
  train(trainer, 12);
  EXPECT_FALSE(trainer.metrics().divergence.has_value());
  EXPECT_EQ(trainer.metrics().loss, trainer.metrics().siglip);
  EXPECT_THROW(Trainer(context, pairs_only, options()), InvalidArgument) << "KLOT without unpaired rows";
}

TEST_P(TrainerTest, ModelSurvivesSavingAndLoading) {
  TrainOptions o = options();
  o.hidden = {10, 9};
  Trainer trainer(context, data(), o);
  train(trainer, 3);
  const std::string path = temporary("model");
  trainer.model().save(path, {{"note", "kept"}});
  const Model loaded = Model::load(context, path);
  std::filesystem::remove(path);
  const Matrix<float> images(context, views.images.data(), 400, 24),
      texts(context, views.texts.data(), 400, 20);
  for (const Projection projection : {Projection::kHeads, Projection::kTeacher})
    for (const Side side : {Side::kX, Side::kY}) {
      const Matrix<float>& rows = side == Side::kX ? images : texts;
      Matrix<float> expected(context, 400, loaded.dim(projection)),
          actual(context, 400, loaded.dim(projection));
      trainer.model().embed(side, projection, rows, expected);
      loaded.embed(side, projection, rows, actual);
      EXPECT_EQ(actual.download(), expected.download());
    }
  Matrix<float> out(context, 400, 16);
  EXPECT_THROW(loaded.embed(Side::kX, Projection::kHeads, texts, out), InvalidArgument);
  std::ofstream(path) << "no model";
  EXPECT_THROW(Model::load(context, path), Error);
  std::filesystem::remove(path);
}

TEST_P(TrainerTest, ValidationKeepsTheBestWeights) {
  TrainOptions o = options();
  o.schedule.peak = 1.0;  // ruins the weights
  Trainer trainer(context, data(), o);
  const double start = trainer.validate().mean_reciprocal_rank;
  const std::vector<float> initial = values(trainer);
  train(trainer, 1);
  for (int i = 0; i < 5 && trainer.validate().mean_reciprocal_rank > start; ++i) train(trainer, 1);
  trainer.restore_best();
  EXPECT_EQ(trainer.validate().mean_reciprocal_rank, trainer.best_score());
  EXPECT_GT(trainer.validate_teacher().mean_r1, 0.1);
}

TEST_P(TrainerTest, ChoosesTheTeachersOpenNumbersOnce) {
  TrainOptions o = options();
  o.teacher.dim = std::nullopt;
  TrainingData d = data();
  d.pair_images = views.image_rows(0, 250), d.pair_texts = views.text_rows(0, 250);  // two rounds of folds
  Trainer trainer(context, d, o);
  ASSERT_TRUE(trainer.teacher_search().has_value());
  EXPECT_EQ(trainer.options().teacher.dim, trainer.teacher_search()->chosen.dim);
  EXPECT_EQ(trainer.options().teacher.seed, 7u);
  train(trainer, 2);
  const std::string path = temporary("chosen");
  trainer.save_checkpoint(path);

  // Given the chosen numbers instead of the search, it is the same training.
  TrainOptions given = o;
  given.teacher.dim = trainer.options().teacher.dim;
  Trainer resumed(context, d, given);
  EXPECT_FALSE(resumed.teacher_search().has_value());
  resumed.load_checkpoint(path);
  EXPECT_EQ(values(resumed), values(trainer));
  std::filesystem::remove(path);
}

TEST_P(TrainerTest, HeadsStartFromAContrastiveTeacher) {
  TrainOptions o = options();
  o.teacher = {
      .kind = TeacherKind::kContrastive, .dim = 13, .contrastive = {.steps = 20, .learning_rate = 0.02}};
  o.initialization = Initialization::kTeacher;
  o.dim = 0;
  Trainer trainer(context, data(), o);
  EXPECT_EQ(trainer.options().dim, 13);
  const Model& model = trainer.model();
  const Matrix<float> rows(context, views.image_rows(0, 50).data, 50, 24);
  Matrix<float> heads(context, 50, 13), teacher(context, 50, 13);
  model.embed(Side::kX, Projection::kHeads, rows, heads);
  model.embed(Side::kX, Projection::kTeacher, rows, teacher);
  EXPECT_WITHIN(testing::max_difference(heads.download(), teacher.download()), 1e-5);
  EXPECT_EQ(trainer.validate().mean_r1, trainer.validate_teacher().mean_r1);

  const std::string path = temporary("contrastive");
  model.save(path);
  const Model loaded = Model::load(context, path);
  EXPECT_EQ(loaded.teacher->kind, TeacherKind::kContrastive);
  EXPECT_EQ(loaded.teacher->wx.download(), model.teacher->wx.download());
  std::filesystem::remove(path);
}

TEST_P(TrainerTest, ResidualHeadsStartFromTheTeacherAndTrainAllTheirTensors) {
  TrainOptions o = options();
  o.hidden = {9, 11};
  o.residual = true;
  o.dim = 0;
  Trainer trainer(context, data(), o);
  EXPECT_EQ(trainer.options().initialization, Initialization::kTeacher);
  const Model& model = trainer.model();
  for (const Side side : {Side::kX, Side::kY}) {
    const bool images = side == Side::kX;
    const ConstMatrixF host = images ? views.image_rows(0, 50) : views.text_rows(0, 50);
    const Matrix<float> rows(context, host.data, 50, host.cols);
    Matrix<float> heads(context, 50, trainer.options().dim), teacher(context, 50, trainer.options().dim);
    model.embed(side, Projection::kHeads, rows, heads);
    model.embed(side, Projection::kTeacher, rows, teacher);
    EXPECT_WITHIN(testing::max_difference(heads.download(), teacher.download()), 1e-5);
  }
  const std::vector<float> start = values(trainer);
  train(trainer, 3);
  const std::vector<float> moved = values(trainer);
  const ParameterSet& parameters = model.parameters;
  size_t at = 0;
  for (int i = 0; i < parameters.count(); ++i) {
    const size_t count = static_cast<size_t>(parameters[i].size());
    EXPECT_FALSE(std::equal(start.begin() + at, start.begin() + at + count, moved.begin() + at))
        << parameters[i].name;
    at += count;
  }
  const std::string path = temporary("residual");
  model.save(path);
  const Model loaded = Model::load(context, path);
  EXPECT_TRUE(loaded.head(Side::kY).options() == model.head(Side::kY).options());
  EXPECT_EQ(loaded.parameters.download("text_head.residual.weight"),
            parameters.download("text_head.residual.weight"));
  std::filesystem::remove(path);
}

TEST_P(TrainerTest, PrecisionIsThatOfAStepsProducts) {
  const auto trained = [&](ProductMath math) {
    TrainOptions o = options();
    o.math = math;
    Trainer trainer(context, data(), o);
    const std::vector<float> teacher = trainer.model().teacher->wx.download();
    train(trainer, 3);
    EXPECT_EQ(context.product_math(), ProductMath::kFp32);  // as before
    return std::tuple(teacher, values(trainer), trainer.metrics().loss);
  };
  const auto [teacher, weights, loss] = trained(ProductMath::kFp32);
  for (const ProductMath math : {ProductMath::kTf32, ProductMath::kBf16}) {
    SCOPED_TRACE(to_string(math));
    const auto [rounded_teacher, rounded_weights, rounded_loss] = trained(math);
    EXPECT_EQ(rounded_teacher, teacher);
    EXPECT_EQ(rounded_weights == weights, GetParam().kind == DeviceKind::kCpu);
    EXPECT_WITHIN(std::abs(rounded_loss - loss), 0.05 * loss);
  }
}

TEST_P(TrainerTest, SidesHaveLearningRatesOfTheirOwn) {
  const auto moved = [&](double image_rate, double text_rate) {
    TrainOptions o = options();
    o.image_rate = image_rate;
    o.text_rate = text_rate;
    o.optimizer.weight_decay = 0;
    o.schedule.kind = ScheduleKind::kConstant;
    Trainer trainer(context, data(), o);
    const auto tensors = [&](const char* head) {
      const ParameterSet& parameters = trainer.model().parameters;
      std::vector<float> all = parameters.download(std::string(head) + ".0.weight");
      for (const float b : parameters.download(std::string(head) + ".0.bias")) all.push_back(b);
      return all;
    };
    const std::vector<float> images = tensors("image_head"), texts = tensors("text_head");
    const float scale = trainer.model().parameters.download("log_scale")[0];
    trainer.train_step();
    EXPECT_NEAR(std::abs(trainer.model().parameters.download("log_scale")[0] - scale), 3e-3, 1e-6);
    // Lion moves every parameter by its learning rate.
    return std::pair{testing::max_difference(tensors("image_head"), images),
                     testing::max_difference(tensors("text_head"), texts)};
  };
  const auto [images, texts] = moved(0.5, 2.0);
  EXPECT_NEAR(images, 1.5e-3, 1e-7);
  EXPECT_NEAR(texts, 6e-3, 1e-7);
  const auto [still, alike] = moved(0.0, 1.0);
  EXPECT_EQ(still, 0.0);
  EXPECT_NEAR(alike, 3e-3, 1e-7);
}

TEST_P(TrainerTest, RejectsDataAndOptionsThatDoNotFit) {
  // All of these are detected before anything is computed.
  const auto fails = [&](const TrainingData& d, const TrainOptions& o, const std::string& part) {
    const auto message = [&](auto&& call) -> std::string {
      try {
        call();
      } catch (const InvalidArgument& error) {
        return error.what();
      }
      return "no exception";
    };
    const std::string checked = message([&] { check_training(context, d, o); });
    EXPECT_NE(checked.find(part), std::string::npos) << checked << ", expected " << part;
    EXPECT_EQ(message([&] { Trainer(context, d, o); }), checked);
  };
  check_training(context, data(), options());
  TrainingData d = data();
  d.pair_texts.rows = 39;
  fails(d, options(), "40 and 39");
  d = data();
  d.images = views.text_rows(0, 10);
  fails(d, options(), "expected 24 columns");
  d = data();
  d.pair_images.rows = d.pair_texts.rows = 1;
  fails(d, options(), "at least 2");
  TrainOptions o = options();
  o.teacher.dim = 21;
  fails(data(), o, "21");
  o = options();
  o.steps = 0;
  fails(data(), o, "steps");
  o = options();
  o.divergence_weight = -1;
  fails(data(), o, "divergence_weight");
  o = options();
  o.divergence.epsilon_student = 0;
  fails(data(), o, "epsilon");
  o = options();
  o.divergence.name = "infonce";
  o.divergence.epsilon_teacher = 0;
  fails(data(), o, "epsilon_teacher");
  o.divergence.epsilon_teacher = 0.1;
  o.affinity_memory_mib = 0.01;
  fails(data(), o, "affinity_memory_mib: infonce stores");
  o.affinity_memory = KlotMemory::kFixed16;
  fails(data(), o, "infonce stores its affinities, expected stored, found fixed16");
  o = options();
  o.residual = true;
  fails(data(), o, "residual: expected hidden layers");
  o = options();
  o.text_rate = -1;
  fails(data(), o, "text_rate");
  o = options();
  o.schedule.peak = std::nan("");
  fails(data(), o, "peak");
  o = options();
  o.hidden = {8, 0};
  fails(data(), o, "layer 1");
  o.hidden = {8};
  o.initialization = Initialization::kTeacher;
  fails(data(), o, "only linear and residual heads");
  o = options();
  o.optimizer.beta1 = 1.0;
  fails(data(), o, "beta1");
  o = options();
  o.teacher.kind = TeacherKind::kContrastive;
  o.teacher.contrastive.steps = 0;
  fails(data(), o, "teacher steps");
  // Detected only when the teacher is fitted.
  o = options();
  o.initialization = Initialization::kTeacher;
  check_training(context, data(), o);
  EXPECT_THROW(Trainer(context, data(), o), InvalidArgument);
}

}  // namespace lib_trainer_test
}  // namespace sotalign
