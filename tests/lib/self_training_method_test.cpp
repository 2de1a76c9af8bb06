// Self-training in the trainer: as a teacher, and as a method whose steps are passes.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/train/trainer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_self_training_method_test {

using testing::error_message;
using testing::random_normal;

class SelfTrainingMethodTest : public testing::DeviceTest {
 protected:
  static constexpr int64_t kPairs = 12, kImages = 60, kTexts = 50, kImageDim = 8, kTextDim = 6;

  TrainingData data() const {
    return {.pair_images = {a.data(), kPairs, kImageDim},
            .pair_texts = {b.data(), kPairs, kTextDim},
            .images = {x.data(), kImages, kImageDim},
            .texts = {y.data(), kTexts, kTextDim},
            .validation_images = {a.data(), kPairs, kImageDim},
            .validation_texts = {b.data(), kPairs, kTextDim}};
  }
  static TrainOptions method() {
    return {.method = "self_training", .self_training = {.passes = 4, .batch = 30}, .seed = 5};
  }
  static TrainOptions teacher() {
    TrainOptions options = method();
    options.method = "sotalign";
    options.teacher.kind = TeacherKind::kSelfTraining;
    options.steps = 3;
    options.batch_unpaired = 20;
    return options;
  }
  /// What the library gives outside of the trainer.
  Teacher alone(const TrainOptions& options) {
    Matrix<float> rows[4] = {upload(a, kPairs, kImageDim), upload(b, kPairs, kTextDim),
                             upload(x, kImages, kImageDim), upload(y, kTexts, kTextDim)};
    for (int side = 0; side < 2; ++side) {
      const Preprocessing p = fit_preprocessing(context, {rows[side], rows[side + 2]});
      for (Matrix<float>* m : {&rows[side], &rows[side + 2]}) preprocess(context, p, *m, *m);
    }
    TeacherOptions cca = options.teacher;
    cca.seed = options.seed;
    return self_train(context, rows[0], rows[1], rows[2], rows[3],
                      with_teacher_options(options.self_training, cca));
  }
  Matrix<float> upload(const std::vector<float>& values, int64_t rows, int64_t cols) {
    return {context, values.data(), rows, cols};
  }
  /// The cosines of the pairs' images under a model's projection.
  std::vector<float> embedded(const Model& model, Projection projection) {
    const Matrix<float> rows = upload(a, kPairs, kImageDim);
    Matrix<float> out(context, kPairs, model.dim(projection));
    model.embed(Side::kX, projection, rows, out);
    const std::vector<float> e = out.download();
    std::vector<float> cosines;
    for (int64_t i = 0; i < kPairs; ++i)
      for (int64_t j = 0; j < kPairs; ++j) {
        double sum = 0;
        for (int64_t c = 0; c < out.cols(); ++c)
          sum += double(e[size_t(i * out.cols() + c)]) * double(e[size_t(j * out.cols() + c)]);
        cosines.push_back(float(sum));
      }
    return cosines;
  }
  static std::vector<float> weights(const Trainer& trainer) {
    std::vector<float> all;
    for (const char* name : {"image_head.0.weight", "image_head.0.bias", "text_head.0.weight"})
      for (const float value : trainer.model().parameters.download(name)) all.push_back(value);
    return all;
  }
  static void finish(Trainer& trainer) {
    while (!trainer.finished()) trainer.train_step();
  }

  std::vector<float> a = random_normal(kPairs * kImageDim, 1), b = random_normal(kPairs * kTextDim, 2),
                     x = random_normal(kImages * kImageDim, 3), y = random_normal(kTexts * kTextDim, 4);
};
SOTALIGN_ON_EVERY_DEVICE(SelfTrainingMethodTest);

TEST_P(SelfTrainingMethodTest, TheHeadsAreTheMapsOfTheTeacher) {
  const Teacher expected = alone(method());
  Trainer trainer(context, data(), method());
  EXPECT_EQ(trainer.options().steps, 4);
  EXPECT_EQ(trainer.options().dim, kTextDim);
  const std::vector<float> first = embedded(trainer.model(), Projection::kTeacher);
  finish(trainer);
  Model model(context, alone(method()));
  model.image_preprocessing = trainer.model().image_preprocessing;
  model.text_preprocessing = trainer.model().text_preprocessing;
  const std::vector<float> cosines = embedded(trainer.model(), Projection::kHeads),
                           wanted = embedded(model, Projection::kTeacher);
  for (size_t i = 0; i < cosines.size(); ++i) EXPECT_WITHIN(std::abs(cosines[i] - wanted[i]), 2e-5) << i;
  // The model's teacher stays the one that the passes began with.
  EXPECT_EQ(embedded(trainer.model(), Projection::kTeacher), first);
  EXPECT_NE(first, wanted);
  const StepMetrics metrics = trainer.metrics();
  EXPECT_FALSE(metrics.siglip.has_value());
  ASSERT_FALSE(metrics.terms.empty());
  EXPECT_EQ(metrics.terms[0].name, "transport_cost");
  EXPECT_EQ(metrics.loss, metrics.terms[0].value);
}

// The first teacher has at most as many directions as the pairs determine, later ones have more.
TEST_P(SelfTrainingMethodTest, FewerPairsThanDimensions) {
  TrainingData few = data();
  few.pair_images.rows = few.pair_texts.rows = 4;
  Trainer trainer(context, few, method());
  EXPECT_EQ(trainer.options().dim, kTextDim);
  EXPECT_EQ(trainer.model().teacher->dim(), 3);
  finish(trainer);
  const std::vector<float> weight = trainer.model().parameters.download("text_head.0.weight");
  for (int64_t column = 0; column < kTextDim; ++column) {
    double squares = 0;
    for (int64_t i = 0; i < kTextDim; ++i)
      squares += std::pow(double(weight[size_t(column * kTextDim + i)]), 2);
    EXPECT_GT(squares, 0) << column;  // all of them are in use
  }
  // A narrower shared space holds the strongest directions.
  TrainOptions narrow = method();
  narrow.dim = 2;
  Trainer other(context, few, narrow);
  finish(other);
  EXPECT_EQ(other.model().dim(Projection::kHeads), 2);
}

TEST_P(SelfTrainingMethodTest, ResumesToTheSameBits) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("sotalign_self_training_" + std::to_string(::getpid()) + ".checkpoint"))
                               .string();
  Trainer straight(context, data(), method());
  finish(straight);
  for (const int steps : {0, 1, 3}) {
    SCOPED_TRACE(steps);
    Trainer stopped(context, data(), method()), resumed(context, data(), method());
    for (int i = 0; i < steps; ++i) stopped.train_step(), stopped.validate();
    stopped.save_checkpoint(path);
    resumed.load_checkpoint(path);
    finish(resumed);
    EXPECT_EQ(weights(resumed), weights(straight));
    TrainOptions other = method();
    other.self_training.unpaired_weight = 0.5;
    EXPECT_THROW(Trainer(context, data(), other).load_checkpoint(path), IoError);
    // A trainer that has begun cannot go back; it stays as it is.
    Trainer begun(context, data(), method());
    begun.train_step();
    const std::vector<float> before = weights(begun);
    EXPECT_THROW(begun.load_checkpoint(path), IoError);
    EXPECT_EQ(weights(begun), before);
  }
  std::filesystem::remove(path);
}

TEST_P(SelfTrainingMethodTest, ATeacherForOtherMethods) {
  const Teacher expected = alone(teacher());
  Trainer trainer(context, data(), teacher());
  EXPECT_EQ(trainer.model().teacher->wx.download(), expected.wx.download());
  EXPECT_EQ(trainer.model().teacher->wy.download(), expected.wy.download());
  EXPECT_EQ(trainer.options().teacher.kind, TeacherKind::kSelfTraining);
  ASSERT_EQ(trainer.teacher_passes().size(), 4u);
  EXPECT_EQ(trainer.teacher_passes().back().pass, 4);
  // SOTAlign starts from it.
  const std::vector<float> cosines = embedded(trainer.model(), Projection::kHeads),
                           wanted = embedded(trainer.model(), Projection::kTeacher);
  for (size_t i = 0; i < cosines.size(); ++i) EXPECT_WITHIN(std::abs(cosines[i] - wanted[i]), 2e-5) << i;
  finish(trainer);
  EXPECT_NE(embedded(trainer.model(), Projection::kHeads), cosines);
  TrainOptions open = teacher();
  open.teacher.ridge = std::nullopt;
  Trainer searched(context, data(), open);
  EXPECT_TRUE(searched.teacher_search().has_value());
  EXPECT_EQ(searched.options().teacher.kind, TeacherKind::kSelfTraining);
}

TEST_P(SelfTrainingMethodTest, ResidualHeadsCanHoldIt) {
  TrainOptions options = method();
  options.hidden = {5}, options.residual = true;
  Trainer linear(context, data(), method()), residual(context, data(), options);
  finish(linear), finish(residual);
  const std::vector<float> one = embedded(linear.model(), Projection::kHeads),
                           other = embedded(residual.model(), Projection::kHeads);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_WITHIN(std::abs(one[i] - other[i]), 1e-5) << i;
}

TEST_P(SelfTrainingMethodTest, RefusesWhatDoesNotFit) {
  const auto message = [&](TrainOptions options, void (*change)(TrainOptions&, TrainingData&)) {
    TrainingData some = data();
    change(options, some);
    return error_message([&] { Trainer(context, some, options); });
  };
  EXPECT_EQ(message(method(), [](TrainOptions& o, TrainingData&) { o.hidden = {5}; }),
            "method self_training: expected linear or residual heads, found 1 hidden layers");
  EXPECT_EQ(
      message(method(), [](TrainOptions& o, TrainingData&) { o.teacher.kind = TeacherKind::kProcrustes; }),
      "teacher: method self_training starts from cca, found procrustes");
  EXPECT_EQ(message(teacher(), [](TrainOptions& o, TrainingData& d) { o.method = "sail", d.texts = {}; }),
            "unpaired rows: teacher self_training needs images and texts, found 60 and 0");
  EXPECT_EQ(message(method(), [](TrainOptions&, TrainingData& d) { d.images = {}; }),
            "unpaired rows: method self_training needs images and texts, found 0 and 50");
  EXPECT_EQ(message(method(), [](TrainOptions& o, TrainingData&) { o.self_training.passes = 0; }),
            "self_training_passes: expected at least 1, found 0");
  EXPECT_EQ(message(method(), [](TrainOptions& o, TrainingData&) { o.self_training.rate = std::nan(""); }),
            "self_training_rate: expected a number in (0, 1], found nan");
  EXPECT_EQ(message(method(), [](TrainOptions& o, TrainingData&) { o.self_training.epsilon = 0; }),
            "self_training_epsilon: expected a finite number > 0, found 0");
  EXPECT_EQ(message(teacher(), [](TrainOptions& o, TrainingData&) { o.teacher.dim = 7; }),
            "dim: expected 0 to 6, the columns of the narrower side, found 7");
}

}  // namespace lib_self_training_method_test
}  // namespace sotalign
