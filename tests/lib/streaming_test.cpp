// Unpaired rows that stay in their files: training gives the same bits as with all rows in memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/io/checksum.h"
#include "sotalign/io/npy.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/nn/row_set.h"
#include "sotalign/train/trainer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"
#include "support/parameter_values.h"
#include "support/temporary_directory.h"
#include "train/teacher_rows.h"

namespace sotalign {
namespace lib_streaming_test {

using testing::error_message;
using testing::random_normal;

constexpr int64_t kPairs = 20, kImages = 50, kTexts = 40, kImageDim = 8, kTextDim = 6;

class StreamingTest : public testing::DeviceTest {
 protected:
  const testing::TemporaryDirectory directory;
  const std::vector<float> pair_images = random_normal(kPairs * kImageDim, 1),
                           pair_texts = random_normal(kPairs * kTextDim, 2),
                           images = random_normal(kImages * kImageDim, 3),
                           texts = random_normal(kTexts * kTextDim, 4),
                           validation_images = random_normal(20 * kImageDim, 5),
                           validation_texts = random_normal(20 * kTextDim, 6);

  /// Images in two files, texts in one.
  void SetUp() override {
    write_npy(directory / "images-0.npy", ConstMatrixF(images.data(), 19, kImageDim));
    write_npy(directory / "images-1.npy",
              ConstMatrixF(images.data() + 19 * kImageDim, kImages - 19, kImageDim));
    write_npy(directory / "texts.npy", ConstMatrixF(texts.data(), kTexts, kTextDim));
  }
  EmbeddingRows image_files() const {
    return EmbeddingRows(
        {MatrixRows::open(directory / "images-0.npy"), MatrixRows::open(directory / "images-1.npy")});
  }
  EmbeddingRows text_files() const { return EmbeddingRows({MatrixRows::open(directory / "texts.npy")}); }

  TrainingData in_memory() const {
    return {.pair_images = {pair_images.data(), kPairs, kImageDim},
            .pair_texts = {pair_texts.data(), kPairs, kTextDim},
            .images = {images.data(), kImages, kImageDim},
            .texts = {texts.data(), kTexts, kTextDim},
            .validation_images = {validation_images.data(), 20, kImageDim},
            .validation_texts = {validation_texts.data(), 20, kTextDim}};
  }
  TrainingData in_files() const {
    TrainingData data = in_memory();
    data.images = image_files();
    data.texts = text_files();
    return data;
  }
  static TrainOptions options(RowMemory memory, const std::string& method = "sotalign") {
    return {.method = method,
            .teacher = {.ridge = 0.1, .correlation_power = 0.5},
            .self_training = {.passes = 2, .batch = 16},
            .dim = method == "self_training" ? 0 : 5,
            .steps = 4,
            .batch_pairs = 12,
            .batch_unpaired = 15,
            .divergence = {.student = {.iterations = 8}, .teacher = {.iterations = 8}},
            .unpaired_memory = memory,
            .seed = 7};
  }
  static std::vector<float> values(const Trainer& trainer) {
    return testing::values_of(trainer.model().parameters);
  }
  static std::vector<float> trained(Trainer& trainer) {
    while (!trainer.finished()) trainer.train_step();
    return values(trainer);
  }
};
SOTALIGN_ON_EVERY_DEVICE(StreamingTest);

TEST_P(StreamingTest, EveryMethodGivesTheSameBits) {
  // The others differ only in their loss. The emulator is slow.
  const std::vector<std::string> few = {"sotalign", "nnclr", "self_training"};
  for (const std::string& method : testing::is_emulated(GetParam()) ? few : method_names()) {
    SCOPED_TRACE(method);
    Trainer stored(context, in_memory(), options(RowMemory::kStored, method)),
        from_files(context, in_files(), options(RowMemory::kStored, method)),
        streamed(context, in_files(), options(RowMemory::kStreamed, method)),
        from_memory(context, in_memory(), options(RowMemory::kStreamed, method));
    const std::vector<float> expected = trained(stored);
    EXPECT_EQ(trained(from_files), expected);
    EXPECT_EQ(trained(streamed), expected);
    EXPECT_EQ(trained(from_memory), expected);
    const auto bank = [](const Trainer& trainer) {
      return trainer.make_bank(Projection::kHeads, {.bank = 7})->potentials().images;
    };
    EXPECT_EQ(bank(streamed), bank(stored));
  }
}

TEST_P(StreamingTest, EveryTeacherGivesTheSameBits) {
  for (const TeacherKind kind : {TeacherKind::kSelfTraining, TeacherKind::kAuto})
    for (const int64_t batch : {16, 1000}) {  // drawn rows, all rows
      const auto teacher = [&](const TrainingData& data, RowMemory memory) {
        TrainOptions o = options(memory);
        o.teacher.kind = kind;
        o.self_training.batch = batch;
        o.steps = 1;
        o.dim = 0;
        Trainer trainer(context, data, o);
        return std::pair(trainer.model().teacher->wx.download(), trained(trainer));
      };
      EXPECT_EQ(teacher(in_files(), RowMemory::kStreamed), teacher(in_memory(), RowMemory::kStored)) << batch;
    }
}

// All unpaired rows in each step.
TEST_P(StreamingTest, BatchesOfAllRows) {
  TrainOptions stored = options(RowMemory::kStored), streamed = options(RowMemory::kStreamed);
  stored.batch_unpaired = streamed.batch_unpaired = 1000;
  Trainer a(context, in_memory(), stored), b(context, in_files(), streamed);
  EXPECT_EQ(trained(a), trained(b));
}

TEST_P(StreamingTest, ResumesAndMoves) {
  Trainer straight(context, in_memory(), options(RowMemory::kStored)),
      stopped(context, in_files(), options(RowMemory::kStreamed));
  for (int step = 0; step < 2; ++step) stopped.train_step();
  const std::string path = directory / "checkpoint.safetensors";
  stopped.save_checkpoint(path);
  Trainer resumed(context, in_files(), options(RowMemory::kStreamed));
  resumed.train_step();  // its thread reads for step 1 meanwhile
  resumed.load_checkpoint(path);
  Trainer moved = std::move(resumed);
  const std::vector<float> expected = trained(straight);
  EXPECT_EQ(trained(moved), expected);
  EXPECT_EQ(trained(stopped), expected);
  // The rows may be stored after the interruption, and the checkpoint knows other rows.
  Trainer other_memory(context, in_files(), options(RowMemory::kStored));
  other_memory.load_checkpoint(path);
  EXPECT_EQ(trained(other_memory), expected);
  TrainingData other = in_files();
  other.images = EmbeddingRows(
      {MatrixRows::open(directory / "images-1.npy"), MatrixRows::open(directory / "images-0.npy")});
  Trainer other_rows(context, other, options(RowMemory::kStreamed));
  EXPECT_THROW(other_rows.load_checkpoint(path), IoError);
}

TEST_P(StreamingTest, StepsAllocateNothing) {
  TrainOptions o = options(RowMemory::kStreamed);
  o.steps = 20;
  Trainer trainer(context, in_files(), o);
  for (int step = 0; step < 2; ++step) trainer.train_step();
  const int64_t allocations = context.allocations(), copies = context.host_copies(),
                waits = context.synchronizations();
  for (int step = 0; step < 5; ++step) trainer.train_step();
  EXPECT_EQ(context.allocations(), allocations);
  EXPECT_EQ(context.host_copies(), copies);
  EXPECT_EQ(context.synchronizations(), waits);
}

// The error of the reading thread reaches the caller, again and again; the weights stay those of the last
// step.
TEST_P(StreamingTest, AFileThatIsShortened) {
  TrainOptions o = options(RowMemory::kStreamed);
  o.steps = 20;
  Trainer trainer(context, in_files(), o);
  trainer.train_step();
  const std::string path = directory / "texts.npy";
  std::filesystem::resize_file(path, 140);
  std::string message;
  while (!trainer.finished() && message.empty()) try {
      trainer.train_step();
    } catch (const IoError& error) {
      message = error.what();
    }
  const std::vector<float> before = values(trainer);
  EXPECT_TRUE(message == path + ": the file was shortened while it was in use" ||
              message == path + ": the file was changed while it was in use")
      << message;
  EXPECT_LE(trainer.steps_done(), 2);
  EXPECT_THROW(trainer.train_step(), IoError);
  EXPECT_EQ(values(trainer), before);
  trainer.save_checkpoint(directory / "checkpoint.safetensors");
}

TEST_P(StreamingTest, SetsOfRows) {
  const auto set = [&](const EmbeddingRows& rows, RowMemory memory) {
    ColumnMeanSum sum(context, kImageDim);
    RowSet result(context, rows, memory, sum, "rows");
    const std::vector<double> mean = sum.mean();
    result.preprocess({std::vector<float>(mean.begin(), mean.end())});
    return result;
  };
  const RowSet stored = set(in_memory().images, RowMemory::kStored),
               streamed = set(image_files(), RowMemory::kStreamed);
  EXPECT_TRUE(streamed.streamed());
  EXPECT_EQ(streamed.checksum(), stored.checksum());
  EXPECT_EQ(stored.checksum(), checksum(ConstMatrixF(images.data(), kImages, kImageDim)));
  EXPECT_EQ(streamed.column_mean(context), stored.column_mean(context));
  EXPECT_EQ(error_message([&] { streamed.stored(); }), "rows: expected stored rows, found streamed ones");

  // Against preprocess() of all rows at once.
  Matrix<float> expected(context, images.data(), kImages, kImageDim);
  preprocess(context, fit_preprocessing(context, {expected}), expected, expected);
  const std::vector<int64_t> index = {49, 0, 19, 18, 19};
  for (const RowSet* rows : {&stored, &streamed}) {
    ASSERT_EQ(rows->rows(), kImages);
    ASSERT_EQ(rows->cols(), kImageDim);
    for (const int64_t height : {1, 30, 1000}) {
      std::vector<float> all;
      rows->for_each(context, height, [&](int64_t first, ConstMatrixF part) {
        EXPECT_EQ(first, static_cast<int64_t>(all.size()) / kImageDim);
        Matrix<float> copy(context, part.rows, part.cols);
        context.copy_on_device(copy.data(), part.data, static_cast<size_t>(part.size()) * sizeof(float));
        const std::vector<float> host = copy.download();
        all.insert(all.end(), host.begin(), host.end());
      });
      EXPECT_EQ(all, expected.download());
    }
    Matrix<float> gathered(context, 5, kImageDim), gathered_expected(context, 5, kImageDim);
    rows->gather(context, index, gathered);
    gather_rows(context, expected, Buffer<int64_t>(context, index).data(), gathered_expected);
    EXPECT_EQ(gathered.download(), gathered_expected.download());
  }
}

// A large set is projected batch by batch, with the same result within rounding.
TEST_P(StreamingTest, TeachersProjectBatchesOfLargeSets) {
  Trainer trainer(context, in_memory(), options(RowMemory::kStored));
  const Teacher& teacher = *trainer.model().teacher;
  Matrix<float> x(context, images.data(), kImages, kImageDim);
  preprocess(context, trainer.model().image_preprocessing, x, x);
  const std::vector<int64_t> index = {3, 49, 7, 7};
  const Buffer<int64_t> on_device(context, index);
  Matrix<float> batch(context, 6, kImageDim);  // two pairs first
  gather_rows(context, x, on_device.data(), batch.view().row_range(2, 4));
  const StepRows step{.pairs = 2, .x = batch, .f = {}, .d_f = {}, .unpaired_index = on_device.data()};
  const auto project = [&](int64_t most) {
    detail::TeacherRows rows(context, teacher, Side::kX, x, 4, false, most);
    const ConstMatrixF projected = rows.project(teacher, step);
    Matrix<float> copy(context, projected.rows, projected.cols);
    context.copy_on_device(copy.data(), projected.data,
                           static_cast<size_t>(projected.size()) * sizeof(float));
    return copy.download();
  };
  const std::vector<float> once = project(kImages * teacher.dim()),
                           each_time = project(kImages * teacher.dim() - 1);
  EXPECT_WITHIN(testing::max_difference(each_time, std::vector<double>(once.begin(), once.end())), 1e-6);
}

TEST_P(StreamingTest, MemoryIsPlanned) {
  const auto plan = [&](const EmbeddingRows& x, std::optional<RowMemory> asked = std::nullopt) {
    return plan_row_memory(context, x, text_files(), asked);
  };
  EXPECT_EQ(plan(image_files()).memory, RowMemory::kStored);
  EXPECT_EQ(plan(image_files()).bytes, 4 * (kImages * kImageDim + kTexts * kTextDim));
  EXPECT_EQ(plan(image_files(), RowMemory::kStreamed).memory, RowMemory::kStreamed);
  if (GetParam().kind == DeviceKind::kCpu) {
    // More than 1 GiB, in a file without content.
    const std::string path = directory / "large.npy";
    write_npy(path, ConstMatrixF(images.data(), 1, 1));
    std::string bytes = testing::read_file(path);
    const std::string shape = "'shape': (1, 1), }              ", large = "'shape': (300000, 1000), }      ";
    ASSERT_NE(bytes.find(shape), std::string::npos);
    bytes.replace(bytes.find(shape), large.size(), large);
    testing::write_file(path, bytes);
    std::filesystem::resize_file(path, 128 + 4 * 300'000'000LL);
    const EmbeddingRows rows({MatrixRows::open(path)});
    EXPECT_EQ(plan(rows).memory, RowMemory::kStreamed);
    EXPECT_EQ(plan(rows).reason, "streamed: 1.12 GiB are more than 1.00 GiB");
    EXPECT_EQ(plan(rows, RowMemory::kStored).memory, RowMemory::kStored);
  }
}

}  // namespace lib_streaming_test
}  // namespace sotalign
