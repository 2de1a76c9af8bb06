// eval and zeroshot read raw rows tile by tile: same figures, same messages, and memory that does not grow
// with the raw rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sotalign/core/buffer.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/train/model.h"
#include "support/npy.h"
#include "support/peak_memory.h"
#include "support/program_data.h"
#include "support/shell.h"
#include "support/tensor_bytes.h"

namespace sotalign::testing {
namespace program_evaluation_tiles_test {

using Json = nlohmann::json;

class EvaluationTiles : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(files.train("run", {"--steps", "3", "--dim", "3", "--threads", "1"}).exit_code, 0);
  }
  std::string path(const std::string& name) const { return files / name; }
  std::string model() const { return path("run/model.safetensors"); }

  /// [rows, cols] in float16, with values between 1 and 1.5 that repeat late.
  void write_half(const std::string& name, int64_t rows, int64_t cols) const {
    std::vector<uint16_t> values(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<uint16_t>(0x3c00 + i * 2654435761u % 512);
    write_file(path(name), npy_file("<f2", rows, cols, raw_bytes(values)));
  }
  void write_ids(const std::string& name, int64_t rows, int64_t different) const {
    std::vector<int64_t> ids(static_cast<size_t>(rows));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i) % different;
    write_npy(path(name), ids);
  }

  TrainingFiles files;
};

/// Several tiles of both sides; the model maps everything at once.
TEST_F(EvaluationTiles, FiguresAreThoseOfTheWhole) {
  constexpr int64_t kRows = 9001;
  files.write("i.npy", kRows, TrainingFiles::kImageDim, 7, 8);
  files.write("t.npy", kRows, TrainingFiles::kTextDim, 7, 9);
  Context context(Device{}, 1);
  const Model model = Model::load(context, this->model());
  for (const Projection projection : {Projection::kHeads, Projection::kTeacher}) {
    const auto embedded = [&](Side side, const char* file) {
      const HostMatrix x = read_matrix(path(file));
      Matrix<float> out(context, x.rows(), model.dim(projection));
      model.embed(side, projection, Matrix<float>(context, x.data(), x.rows(), x.cols()), out);
      return out;
    };
    const Matrix<float> images = embedded(Side::kX, "i.npy"), texts = embedded(Side::kY, "t.npy");
    const bool heads = projection == Projection::kHeads;
    std::vector<std::string> arguments = {"eval",
                                          "--model",
                                          this->model(),
                                          "--images",
                                          path("i.npy"),
                                          "--texts",
                                          path("t.npy"),
                                          "--threads",
                                          "1",
                                          "--projection",
                                          heads ? "heads" : "teacher",
                                          "--json",
                                          "-"};
    if (heads) arguments.insert(arguments.end(), {"--hubness", "dbs"});
    const ProgramResult run = run_program(arguments);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const auto expect = [](const Json& found, const RetrievalResult& expected) {
      EXPECT_EQ(found["mean_r1"], expected.mean_r1);
      EXPECT_EQ(found["mean_reciprocal_rank"], expected.mean_reciprocal_rank);
      EXPECT_EQ(found["text_to_image"]["median_rank"], expected.text_to_image.median_rank);
    };
    const Json found = Json::parse(run.out);
    expect(found, retrieval(context, images, texts));
    if (heads)
      expect(found["hubness"]["corrected"],
             retrieval(context, images, texts,
                       {.image_corrections = model.hubness->corrections(context, Side::kX, images),
                        .text_corrections = model.hubness->corrections(context, Side::kY, texts)}));
  }
}

/// The second model reads the rows again, which a pipe gives only once.
TEST_F(EvaluationTiles, StandardInputIsReadForBothModels) {
  const std::string command =
      "$S eval --model run/model.safetensors --against teacher --images val_images.npy --json - --texts ";
  const ProgramResult piped = run_shell(files, "cat val_texts.npy | " + command + "-"),
                      named = run_shell(files, command + "val_texts.npy");
  EXPECT_EQ(named.exit_code, 0);
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(piped.out, named.out);
  EXPECT_CONTAINS(named.out, "difference");
}

TEST_F(EvaluationTiles, ErrorsNameRowsOfLaterTiles) {
  constexpr int64_t kRows = 5000, kCols = TrainingFiles::kImageDim, kBad = 4500;
  std::vector<float> rows = random_normal(kRows * kCols, 5);
  write_npy(path("good.npy"), ConstMatrixF(rows.data(), kRows, kCols));
  write_ids("ids.npy", kRows, 7);
  const auto expect_refused = [&](const std::string& part) {
    write_npy(path("bad.npy"), ConstMatrixF(rows.data(), kRows, kCols));
    for (const std::string side : {"images", "texts"}) {
      const std::string images = path(side == "images" ? "bad.npy" : "good.npy"),
                        texts = path(side == "texts" ? "bad.npy" : "good.npy");
      for (const std::vector<std::string>& arguments :
           {std::vector<std::string>{"eval", "--images", images, "--texts", texts},
            std::vector<std::string>{"zeroshot", "--images", images, "--prompts", texts, "--labels",
                                     path("ids.npy"), "--prompt-classes", path("ids.npy")}}) {
        const ProgramResult result = run_program(arguments);
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
        EXPECT_CONTAINS(result.err, "bad.npy: row 4500" + part);
      }
    }
  };
  std::fill_n(rows.begin() + kBad * kCols, kCols, 0.0f);
  expect_refused(": expected a row that is not zero");
  rows[kBad * kCols + 3] = INFINITY;
  expect_refused(", column 3 is inf");
}

TEST_F(EvaluationTiles, MemoryDoesNotGrowWithRawRows) {
  if (kProgramUnderAddressSanitizer) GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  constexpr int64_t kWide = 512, kTexts = 100, kSmall = 8'000, kLarge = 60'000;
  files.write("wide_pairs.npy", 40, kWide, 1, 1);
  files.write("wide_texts.npy", 40, TrainingFiles::kTextDim, 1, 2);
  ASSERT_EQ(
      run_program({"train", "--pairs-images", path("wide_pairs.npy"), "--pairs-texts", path("wide_texts.npy"),
                   "--out", path("wide"), "--method", "sail", "--steps", "1", "--dim", "2", "--threads", "1"})
          .exit_code,
      0);
  files.write("t.npy", kTexts, TrainingFiles::kTextDim, 7, 9);
  write_ids("text_ids.npy", kTexts, kTexts);
  const auto peaks = [&](int64_t rows) {
    write_half("x.npy", rows, kWide);
    write_ids("ids.npy", rows, kTexts);
    std::vector<int64_t> found;
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"eval", "--model", path("wide/model.safetensors"), "--images",
                                   path("x.npy"), "--image-ids", path("ids.npy"), "--texts", path("t.npy"),
                                   "--text-ids", path("text_ids.npy"), "--threads", "1"},
          std::vector<std::string>{"zeroshot", "--model", path("wide/model.safetensors"), "--images",
                                   path("x.npy"), "--labels", path("ids.npy"), "--prompts", path("t.npy"),
                                   "--prompt-classes", path("text_ids.npy"), "--threads", "1"}}) {
      const MeasuredProgram measured = run_measured(arguments);
      EXPECT_EQ(measured.result.exit_code, 0) << measured.result.err;
      EXPECT_GT(measured.peak_kib, 1000);
      found.push_back(measured.peak_kib);
    }
    return found;
  };
  const std::vector<int64_t> small = peaks(kSmall), large = peaks(kLarge);
  for (size_t i = 0; i < small.size(); ++i)
    EXPECT_LT(large[i] - small[i], 16 << 10) << "the files differ by 53 MB, as float32 106 MB";
}

}  // namespace program_evaluation_tiles_test
}  // namespace sotalign::testing
