// sotalign embed: formats, types, pipes, memory. The figures of embedded rows are tested where models are.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "sotalign/core/buffer.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/train/model.h"
#include "support/npy.h"
#include "support/peak_memory.h"
#include "support/program_data.h"
#include "support/shell.h"
#include "support/tensor_bytes.h"

namespace sotalign::testing {
namespace program_embed_test {

class EmbedProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(files.train("run", {"--steps", "3", "--threads", "1"}).exit_code, 0);
    std::filesystem::rename(path("run/model.safetensors"), path("m.safetensors"));
  }
  std::string path(const std::string& name) const { return files / name; }
  ProgramResult embed(const std::string& input, const std::string& output,
                      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "embed",     "--model",  path("m.safetensors"), "--side",    "image", "--input",
        path(input), "--output", path(output),          "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  void expect_embedded(const std::string& input, const std::string& output,
                       const std::vector<std::string>& more = {}) const {
    const ProgramResult result = embed(input, output, more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
  }
  void write_rows(const std::string& name, int64_t rows) const {
    const std::vector<float> values = random_normal(rows * TrainingFiles::kImageDim, 77);
    write_npy(path(name), ConstMatrixF(values.data(), rows, TrainingFiles::kImageDim));
  }

  TrainingFiles files;
};

/// Several tiles; the model maps everything at once.
TEST_F(EmbedProgram, PiecesGiveTheBitsOfTheWhole) {
  const int64_t rows = 9001;
  write_rows("x.npy", rows);
  expect_embedded("x.npy", "y.npy", {"--corrections", path("c.npy")});
  Context context(Device{}, 1);
  const Model model = Model::load(context, path("m.safetensors"));
  const HostMatrix x = read_matrix(path("x.npy"));
  Matrix<float> out(context, rows, model.dim(Projection::kHeads));
  model.embed(Side::kX, Projection::kHeads, Matrix<float>(context, x.data(), rows, x.cols()), out);
  const ArrayBytes y = npy_parts(read_file(path("y.npy"))), c = npy_parts(read_file(path("c.npy")));
  EXPECT_EQ(y.type, "<f4");
  EXPECT_EQ(y.shape, (std::vector<int64_t>{rows, out.cols()}));
  EXPECT_EQ(values_in<float>(y.data), out.download());
  EXPECT_EQ(c.shape, std::vector<int64_t>{rows});
  EXPECT_EQ(values_in<float>(c.data), model.hubness->corrections(context, Side::kX, out));
}

TEST_F(EmbedProgram, TheNameChoosesTheFormatAndDtypeTheType) {
  write_rows("x.npy", 5000);
  expect_embedded("x.npy", "y.npy");
  const std::vector<float> exact = values_in<float>(npy_parts(read_file(path("y.npy"))).data);
  expect_embedded("x.npy", "y.safetensors", {"--corrections", path("c.safetensors")});
  const ArrayBytes tensor = tensor_parts(read_file(path("y.safetensors")), "embeddings");
  EXPECT_EQ(tensor.type, "F32");
  EXPECT_EQ(values_in<float>(tensor.data), exact);
  EXPECT_EQ(tensor_parts(read_file(path("c.safetensors")), "corrections").shape, std::vector<int64_t>{5000});
  expect_embedded("x.npy", "h.npy", {"--dtype", "float16"});
  expect_embedded("x.npy", "h.safetensors", {"--dtype", "float16"});
  const ArrayBytes half = npy_parts(read_file(path("h.npy"))),
                   half_tensor = tensor_parts(read_file(path("h.safetensors")), "embeddings");
  EXPECT_EQ(half.type, "<f2");
  EXPECT_EQ(half_tensor.type, "F16");
  EXPECT_EQ(half_tensor.shape, half.shape);
  EXPECT_TRUE(half_tensor.data == half.data);
  const std::vector<uint16_t> rounded = values_in<uint16_t>(half.data);
  ASSERT_EQ(rounded.size(), exact.size());
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double value = static_cast<double>(exact[i]), error = std::abs(float16_value(rounded[i]) - value);
    EXPECT_WITHIN(error, std::max(std::abs(value) * 0x1p-11, 0x1p-25));
    worst = std::max(worst, error);
  }
  EXPECT_GT(worst, 0);
  // The program reads both again.
  for (const char* name : {"y.safetensors", "h.safetensors", "h.npy"})
    EXPECT_EQ(run_program({"similarity", "--x", path("y.npy"), "--y", path(name), "--k", "3"}).exit_code, 0);
  EXPECT_EQ(embed("x.npy", "z.npy", {"--dtype", "float64"}).exit_code, 2);
}

TEST_F(EmbedProgram, PipesAndOtherLayouts) {
  expect_embedded("images.npy", "y.npy", {"--corrections", path("c.npy")});
  const std::string expected = read_file(path("y.npy"));
  const std::string options = "--model m.safetensors --side image --threads 1 ";
  for (const std::string& script :
       {"cat images.npy | $S embed " + options + "--input - --output -",
        "$S embed " + options + "--input - --output - < images.npy",
        "$S embed " + options + "--input images.npy --output - | cat",
        "$S embed " + options + "--input - --output p.npy --quiet < images.npy; cat p.npy"}) {
    const ProgramResult result = run_shell(files, script);
    EXPECT_EQ(result.exit_code, 0) << script << result.err;
    EXPECT_TRUE(result.out == expected) << script;
    EXPECT_EQ(result.err, "");
  }
  const ProgramResult corrections =
      run_shell(files, "$S embed " + options + "--input images.npy --output p.npy --corrections -");
  EXPECT_TRUE(corrections.out == read_file(path("c.npy")));
  EXPECT_FALSE(std::filesystem::exists(path("-")));
  // Fortran order, float64, and a tensor.
  const GoldenArray images = read_golden(path("images.npy"));
  const auto rows = images.shape[0], cols = images.shape[1];
  std::vector<double> by_columns;
  for (int64_t j = 0; j < cols; ++j)
    for (int64_t i = 0; i < rows; ++i) by_columns.push_back(images.values[static_cast<size_t>(i * cols + j)]);
  write_file(path("f.npy"), npy_file("<f8", rows, cols, raw_bytes(by_columns), true));
  expect_embedded("f.npy", "g.npy");
  EXPECT_TRUE(read_file(path("g.npy")) == expected);

  for (const auto& [script, part] :
       {std::pair("$S embed " + options + "--input - --output y.npy < /dev/null",
                  "standard input: expected a .npy file, found nothing"),
        {"$S embed " + options + "--input images.npy --output - > /dev/full",
         "standard output: cannot write"},
        {"$S embed " + options + "--input - --output - < texts.npy", "standard input: expected 12 columns"},
        {"$S embed " + options + "--input images.npy --output - --corrections -",
         "--corrections: expected a file, found - for --output too"}}) {
    const ProgramResult result = run_shell(files, script);
    EXPECT_EQ(result.exit_code, 2) << script;
    EXPECT_EQ(result.out, "");
    EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_TRUE(read_file(path("y.npy")) == expected) << "a refused command left the file as it was";
}

/// A row is found to be bad when earlier ones have been written.
TEST_F(EmbedProgram, ABadRowOfALaterPieceLeavesNothing) {
  std::vector<float> values = random_normal(6000 * TrainingFiles::kImageDim, 5);
  values[5500 * TrainingFiles::kImageDim + 2] = INFINITY;
  write_npy(path("x.npy"), ConstMatrixF(values.data(), 6000, TrainingFiles::kImageDim));
  write_file(path("y.npy"), "old");
  const int64_t entries = files.entries();
  const ProgramResult result = embed("x.npy", "y.npy", {"--corrections", path("c.npy")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_CONTAINS(result.err, "x.npy: row 5500, column 2 is inf");
  EXPECT_EQ(read_file(path("y.npy")), "old");
  EXPECT_EQ(files.entries(), entries);
}

TEST_F(EmbedProgram, AKillLeavesTheOldFileOrTheNewOne) {
  write_rows("x.npy", 200'000);
  expect_embedded("x.npy", "whole.npy");
  for (const int milliseconds : {5, 20, 40, 60, 90, 130}) {
    write_file(path("y.npy"), "old");
    run_program({"embed", "--model", path("m.safetensors"), "--side", "image", "--input", path("x.npy"),
                 "--output", path("y.npy"), "--threads", "1"},
                [&](pid_t child) {
                  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
                  kill(child, SIGKILL);
                });
    const std::string found = read_file(path("y.npy"));
    EXPECT_TRUE(found == "old" || found == read_file(path("whole.npy"))) << found.size() << " bytes";
  }
}

TEST_F(EmbedProgram, MemoryDoesNotGrowWithTheFile) {
  if (kProgramUnderAddressSanitizer) GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  const auto peak = [&](int64_t rows) {
    std::vector<uint16_t> values(static_cast<size_t>(rows * TrainingFiles::kImageDim));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(0x3c00 + i % 512);
    write_file(path("x.npy"), npy_file("<f2", rows, TrainingFiles::kImageDim, raw_bytes(values)));
    const MeasuredProgram measured =
        run_measured({"embed", "--model", path("m.safetensors"), "--side", "image", "--input", path("x.npy"),
                      "--output", path("y.npy"), "--threads", "1"});
    EXPECT_EQ(measured.result.exit_code, 0) << measured.result.err;
    EXPECT_EQ(npy_parts(read_file(path("y.npy"))).shape.at(0), rows);
    return measured.peak_kib;
  };
  const int64_t small = peak(20'000), large = peak(1'500'000);
  EXPECT_GT(small, 1000);
  EXPECT_LT(large - small, 16 << 10) << "the file has 36 MB, as float32 72 MB";
}

}  // namespace program_embed_test
}  // namespace sotalign::testing
