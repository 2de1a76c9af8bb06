// The plan of a training against the trainer that it describes.
#include "sotalign/train/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sotalign/core/error.h"
#include "sotalign/io/npy.h"
#include "sotalign/train/method.h"
#include "sotalign/train/step_time.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/recording_resource.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_plan_test {

using testing::random_normal;

constexpr int64_t kImageDim = 96, kTextDim = 80, kPairs = 150, kImages = 400, kTexts = 300, kValidation = 60;

class PlanTest : public testing::DeviceTest {
 protected:
  const std::vector<float> images = random_normal(kImages * kImageDim, 1),
                           texts = random_normal(kImages * kTextDim, 2),
                           pair_images = random_normal(kPairs * kImageDim, 3),
                           pair_texts = random_normal(kPairs * kTextDim, 4);

  TrainingData data() const {
    return {.pair_images = {pair_images.data(), kPairs, kImageDim},
            .pair_texts = {pair_texts.data(), kPairs, kTextDim},
            .images = {images.data(), kImages, kImageDim},
            .texts = {texts.data(), kTexts, kTextDim},
            .validation_images = {images.data(), kValidation, kImageDim},
            .validation_texts = {texts.data(), kValidation, kTextDim}};
  }
  /// The same shapes without values.
  static TrainingData shapes() {
    return {.pair_images = {nullptr, kPairs, kImageDim},
            .pair_texts = {nullptr, kPairs, kTextDim},
            .images = {nullptr, kImages, kImageDim},
            .texts = {nullptr, kTexts, kTextDim},
            .validation_images = {nullptr, kValidation, kImageDim},
            .validation_texts = {nullptr, kValidation, kTextDim}};
  }
  static TrainOptions options() {
    return {.teacher = {.ridge = 0.01, .correlation_power = 0.5},
            .steps = 3,
            .batch_unpaired = 128,
            .math = ProductMath::kFp32};
  }

  static std::vector<TrainOptions> many_options() {
    std::vector<TrainOptions> many;
    for (const std::string& method : method_names()) {
      // Registered methods of other tests have no plan. Self-training keeps covariances that depend on its
      // passes.
      if (!find_method(method).plan || method == "self_training") continue;
      many.push_back(options());
      many.back().method = method;
    }
    for (const KlotMemory memory : {KlotMemory::kStored, KlotMemory::kFixed16, KlotMemory::kStreamed}) {
      many.push_back(options());
      many.back().affinity_memory = memory;
    }
    for (const char* divergence : {"infonce", "cka"}) {
      many.push_back(options());
      many.back().divergence.name = divergence;
    }
    const auto with = [&](auto change) {
      many.push_back(options());
      change(many.back());
    };
    with([](TrainOptions& o) { o.batch_unpaired = 10000; });  // all rows
    with([](TrainOptions& o) { o.batch_pairs = 70; });
    with([](TrainOptions& o) { o.hidden = {72, 40}; });
    with([](TrainOptions& o) { o.hidden = {72}, o.activation = Activation::kRelu; });
    with([](TrainOptions& o) { o.hidden = {72}, o.residual = true; });
    with([](TrainOptions& o) { o.optimizer.kind = OptimizerKind::kAdamW; });
    with([](TrainOptions& o) { o.dim = 33; });
    with([](TrainOptions& o) { o.teacher.dim = 17; });
    with([](TrainOptions& o) { o.teacher.kind = TeacherKind::kProcrustes; });
    with([](TrainOptions& o) { o.teacher.kind = TeacherKind::kContrastive; });
    with([](TrainOptions& o) { o.teacher.kind = TeacherKind::kSelfTraining, o.self_training.passes = 2; });
    with([](TrainOptions& o) { o.teacher.kind = TeacherKind::kAuto, o.self_training.passes = 1; });
    return many;
  }
};
SOTALIGN_ON_EVERY_DEVICE(PlanTest);

/// The bytes that the trainer gives back are those that it kept; its scratch memory stays with the context.
/// The plan does not list single values, the states of solves and a few vectors of divergences, each below
/// the bound; every buffer that it lists is above it, except indices.
TEST_P(PlanTest, ATrainerKeepsWhatThePlanSays) {
  constexpr int64_t kSmall = 8192;
  for (const TrainOptions& o : many_options()) {
    SCOPED_TRACE(o.method + ", " + o.divergence.name + ", teacher " + to_string(o.teacher.kind) +
                 ", hidden " + std::to_string(o.hidden.size()) + ", dim " + std::to_string(o.dim));
    Context fresh(GetParam(), 2);
    const TrainingPlan plan = plan_training(fresh, shapes(), o);
    auto trainer = std::make_unique<Trainer>(fresh, data(), o);
    EXPECT_EQ(trainer->options().dim, plan.options.dim);
    EXPECT_EQ(trainer->options().initialization, plan.options.initialization);
    EXPECT_EQ(trainer->options().affinity_memory, plan.options.affinity_memory);
    EXPECT_EQ(trainer->model().teacher->dim(), plan.step.teacher_dim);
    EXPECT_EQ(trainer->model().parameters.size(), plan.step.parameters);
    const int64_t before = fresh.bytes_in_use();
    trainer.reset();
    const int64_t kept = before - fresh.bytes_in_use();
    EXPECT_NEAR(static_cast<double>(kept), static_cast<double>(plan.kept_bytes()), kSmall);
    for (const PlannedBuffer& buffer : plan.buffers)
      if ((buffer.life == BufferLife::kRun || buffer.life == BufferLife::kRows) &&
          buffer.name != "indices of a batch") {
        EXPECT_GT(buffer.bytes, kSmall) << buffer.name;
      }
  }
}

/// The peak is at least what is kept, and off by no more than the arena of a context allows: it grows by 1
/// MiB at least, and until its next merge it holds the chunks of smaller scopes besides a larger one.
TEST_P(PlanTest, ThePeakIsNotFarFromTheRealOne) {
  int number = 0;
  for (const TrainOptions& o : many_options()) {
    if (GetParam().kind == DeviceKind::kCuda && number++ % 5 != 0)
      continue;  // steps are slow on the emulator
    SCOPED_TRACE(o.method + ", " + o.divergence.name + ", teacher " + to_string(o.teacher.kind));
    Context fresh(GetParam(), 2);
    const TrainingPlan plan = plan_training(fresh, shapes(), o);
    Trainer trainer(fresh, data(), o);
    for (int step = 0; step < 2 && !trainer.finished(); ++step) trainer.train_step();
    trainer.validate();
    const int64_t scratch = std::max(plan.bytes(BufferLife::kScratch), plan.bytes(BufferLife::kTeacher));
    EXPECT_GE(fresh.peak_bytes(), plan.kept_bytes());
    EXPECT_LE(fresh.peak_bytes(), plan.peak_bytes() + scratch + (2 << 20));
    EXPECT_GE(fresh.peak_bytes(), plan.peak_bytes() - scratch);
  }
}

/// Streamed rows take two batches on their way instead, and large sets are projected batch by batch.
TEST_P(PlanTest, StreamedRows) {
  const testing::TemporaryDirectory directory;
  write_npy(directory / "images.npy", ConstMatrixF(images.data(), kImages, kImageDim));
  write_npy(directory / "texts.npy", ConstMatrixF(texts.data(), kTexts, kTextDim));
  TrainingData in_files = data();
  in_files.images = EmbeddingRows({MatrixRows::open(directory / "images.npy")});
  in_files.texts = EmbeddingRows({MatrixRows::open(directory / "texts.npy")});
  for (const RowMemory memory : {RowMemory::kStored, RowMemory::kStreamed}) {
    TrainOptions o = options();
    o.unpaired_memory = memory;
    Context fresh(GetParam(), 2);
    const TrainingPlan plan = plan_training(fresh, in_files, o);
    EXPECT_EQ(plan.row_memory.memory, memory);
    const auto has = [&](const char* name) {
      return std::any_of(plan.buffers.begin(), plan.buffers.end(),
                         [&](const PlannedBuffer& buffer) { return buffer.name == name; });
    };
    EXPECT_EQ(has("unpaired images"), memory == RowMemory::kStored);
    EXPECT_EQ(has("batches on their way"), memory == RowMemory::kStreamed);
    auto trainer = std::make_unique<Trainer>(fresh, in_files, o);
    const int64_t before = fresh.bytes_in_use();
    trainer.reset();
    EXPECT_NEAR(static_cast<double>(before - fresh.bytes_in_use()), static_cast<double>(plan.kept_bytes()),
                8192);
  }
}

TEST_P(PlanTest, PlansWithoutValuesAndMemory) {
  const int64_t before = context.bytes_in_use();
  const TrainingPlan plan = plan_training(context, shapes(), options());
  EXPECT_EQ(context.bytes_in_use(), before);
  EXPECT_LT(context.peak_bytes(), before + 4096);  // tries the options on a problem of one row
  EXPECT_TRUE(plan.fits());
  std::set<std::string> names;
  for (const PlannedBuffer& buffer : plan.buffers)
    EXPECT_TRUE(names.insert(buffer.name).second) << buffer.name;
  TrainOptions bad = options();
  bad.steps = 0;
  EXPECT_THROW(plan_training(context, shapes(), bad), InvalidArgument);
}

/// Terabytes are planned like kilobytes.
TEST_P(PlanTest, SaysWhatDoesNotFit) {
  TrainingData large = shapes();
  large.images = {nullptr, int64_t{1} << 32, kImageDim};
  large.texts = {nullptr, int64_t{1} << 32, kTextDim};
  TrainOptions o = options();
  o.batch_unpaired = int64_t{1} << 20;
  const TrainingPlan plan = plan_training(context, large, o);
  EXPECT_FALSE(plan.fits());
  EXPECT_GT(plan.peak_bytes(), (int64_t{1} << 32) * (kImageDim + kTextDim) * 4);
  EXPECT_EQ(plan.options.affinity_memory, KlotMemory::kStreamed);

  testing::RecordingResource little(GetParam());  // says that it has 123,456 bytes
  Context small({.device = GetParam(), .memory = &little});
  EXPECT_FALSE(plan_training(small, shapes(), options()).fits());
  EXPECT_EQ(plan_training(small, shapes(), options()).available_bytes, 123'456);
}

TEST_P(PlanTest, StepTimesAddUp) {
  const TrainingPlan plan = plan_training(context, shapes(), options());
  const StepTime time = predict_step_time(context, plan);
  double parts = 0;
  for (const StepPart& part : time.parts) {
    EXPECT_GE(part.seconds, 0) << part.name;
    EXPECT_LT(part.seconds, 60) << part.name;
    parts += part.seconds;
  }
  EXPECT_GT(parts, 0);
  EXPECT_DOUBLE_EQ(time.seconds_without_sinkhorn(), parts);
  EXPECT_EQ(time.most.sum(), 200);
  EXPECT_EQ(time.typical.sum(), 25);
  EXPECT_DOUBLE_EQ(time.seconds({.student = 3, .teacher = 4}), parts + 7 * time.seconds_per_iteration);
  // Every step has all rows: the teacher's plan is kept.
  TrainOptions all = options();
  all.batch_unpaired = 10000;
  EXPECT_EQ(predict_step_time(context, plan_training(context, shapes(), all)).most.teacher, 0);
  TrainOptions structure = options();
  structure.method = "structure";
  EXPECT_THROW(predict_step_time(context, plan_training(context, shapes(), structure)), InvalidArgument);
}

}  // namespace lib_plan_test
}  // namespace sotalign
