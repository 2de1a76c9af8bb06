// "-" for a file: standard input and output of all commands.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "support/compare.h"
#include "support/program_data.h"
#include "support/shell.h"

namespace sotalign::testing {
namespace program_standard_streams_test {

using Json = nlohmann::json;

/// Without what differs between two runs.
std::string without_times(const std::string& text) {
  const std::string same = std::regex_replace(text, std::regex("\"seconds\":[-0-9.e]+"), "\"seconds\":0");
  return std::regex_replace(same, std::regex(" [0-9.]+ s\\b"), " 0 s");
}

class StandardStreams : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = std::make_unique<TrainingFiles>();
    ASSERT_EQ(files_->train("run", {"--steps", "2"}).exit_code, 0);
    std::filesystem::rename(path("run/model.safetensors"), path("m.safetensors"));
    files_->write("k.npy", 20, 20, 7, 8);
    files_->write("kt.npy", 20, 20, 7, 9);
    files_->write("all_images.npy", 120, TrainingFiles::kImageDim, 11, 12);
    files_->write("all_texts.npy", 120, TrainingFiles::kTextDim, 11, 13);
    std::vector<int64_t> labels(TrainingFiles::kValidation);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 4);
    write_npy(path("labels.npy"), labels);
  }
  static void TearDownTestSuite() { files_.reset(); }

  static std::string path(const std::string& name) { return *files_ / name; }

  static ProgramResult shell(const std::string& script) {
    const ProgramResult result = run_shell(*files_, script);
    EXPECT_FALSE(std::filesystem::exists(path("-"))) << script;
    std::filesystem::remove_all(path("-"));
    return result;
  }

  /// Expects the same output, and the same file "out" if there is one, for a file and for standard input.
  static void expect_same(const std::string& before, const std::string& file, const std::string& after) {
    const auto run = [&](const std::string& start, const std::string& name, const std::string& end) {
      std::filesystem::remove_all(path("out"));
      ProgramResult result = shell(start + "$S " + before + " " + name + " " + after + " --threads 1" + end);
      EXPECT_EQ(result.exit_code, 0) << before << ": " << result.err;
      EXPECT_EQ(result.err, "") << before;
      if (std::filesystem::is_regular_file(path("out"))) result.out += read_file(path("out"));
      return without_times(result.out);
    };
    const std::string expected = run("", file, "");
    EXPECT_NE(expected, "") << before;
    EXPECT_EQ(run("cat " + file + " | ", "-", ""), expected) << before;
    EXPECT_EQ(run("", "-", " <" + file), expected) << before;
  }

  /// Expects exactly `expected` on standard output.
  static void expect_output(const std::string& command, const std::string& expected) {
    const ProgramResult result = shell("$S " + command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(result.out == expected) << command;
  }
  static void expect_json(const std::string& command, const char* key) {
    const ProgramResult result = shell("$S " + command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
    EXPECT_TRUE(Json::parse(result.out).contains(key)) << result.out;
  }
  static void expect_refused(const std::string& script, const std::string& message) {
    const ProgramResult result = shell(script);
    EXPECT_EQ(result.exit_code, 2) << script;
    EXPECT_EQ(result.out, "") << script;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_CONTAINS(result.err, message);
  }

  static std::unique_ptr<TrainingFiles> files_;
};

std::unique_ptr<TrainingFiles> StandardStreams::files_;

TEST_F(StandardStreams, AMatrixFromAPipeIsThatOfItsFile) {
  expect_same("embed --model m.safetensors --side image --output out --input", "val_images.npy", "");
  expect_same("search --model m.safetensors --side text --gallery val_images.npy --queries", "val_texts.npy",
              "");
  expect_same("search --model m.safetensors --side text --queries val_texts.npy --gallery", "val_images.npy",
              "");
  expect_same("eval --model m.safetensors --texts val_texts.npy --images", "val_images.npy", "");
  expect_same("eval --model m.safetensors --images val_images.npy --texts", "val_texts.npy", "");
  const std::string zeroshot =
      "zeroshot --model m.safetensors --labels labels.npy --prompt-classes labels.npy ";
  expect_same(zeroshot + "--prompts val_texts.npy --images", "val_images.npy", "");
  expect_same(zeroshot + "--images val_images.npy --prompts", "val_texts.npy", "");
  expect_same("similarity --k 3 --y val_texts.npy --x", "val_images.npy", "");
  expect_same("similarity --k 3 --x val_images.npy --y", "val_texts.npy", "");
  expect_same("shift --projections 10 --images images.npy --other-images", "val_images.npy", "");
  expect_same("shift --projections 10 --other-texts val_texts.npy --texts", "texts.npy", "");
  expect_same("teacher --teacher cca --pairs-texts pairs_texts.npy --out out --pairs-images",
              "pairs_images.npy", "");
  expect_same(
      "teacher --teacher cca --pairs-images pairs_images.npy --pairs-texts pairs_texts.npy --out out "
      "--val-images val_images.npy --val-texts",
      "val_texts.npy", "");
  expect_same("compare --pairs 30 --test 20 --seeds 0 --steps 2 --texts all_texts.npy --images",
              "all_images.npy", "");
  expect_same("klot --teacher kt.npy --gradient out --student", "k.npy", "");
  expect_same("divergence --kind cka --student k.npy --teacher", "kt.npy", "");
  expect_same("sinkhorn --plan out --affinity", "k.npy", "");
}

TEST_F(StandardStreams, SplitReadsAPipe) {
  const std::string options = "--pairs 30 --test 20 --texts all_texts.npy --images ";
  ASSERT_EQ(shell("$S split " + options + "all_images.npy --out files").exit_code, 0);
  ASSERT_EQ(shell("cat all_images.npy | $S split " + options + "- --out piped").exit_code, 0);
  for (const char* name :
       {"pairs_images.npy", "test_images.npy", "images.npy", "pairs_texts.npy", "texts.npy"})
    EXPECT_TRUE(read_file(path(std::string("files/") + name)) ==
                read_file(path(std::string("piped/") + name)))
        << name;
}

TEST_F(StandardStreams, AMatrixOnStandardOutputIsThatOfItsFileAndNothingElse) {
  for (const auto& [command, flag] :
       {std::pair<std::string, std::string>{"klot --student k.npy --teacher kt.npy", "--gradient"},
        {"divergence --kind infonce --student k.npy --teacher kt.npy", "--gradient"},
        {"sinkhorn --affinity k.npy", "--plan"},
        {"search --queries k.npy --gallery kt.npy --k 3 --out hits.npy", "--scores"},
        {"search --queries k.npy --gallery kt.npy --k 3 --format npy", "--out"},
        {"embed --model m.safetensors --side text --input texts.npy", "--output"},
        {"completion bash", "--out"},
        {"man", "--out"}}) {
    std::filesystem::remove(path("file"));
    ASSERT_EQ(shell("$S " + command + " " + flag + " file").exit_code, 0) << command;
    const std::string expected = read_file(path("file"));
    EXPECT_GT(expected.size(), 128u);
    expect_output(command + " " + flag + " -", expected);
    expect_output(command + " " + flag + " - | cat", expected);
  }
  // What one command writes, another one reads.
  expect_output(
      "sinkhorn --affinity k.npy --plan - | $S similarity --k 3 --x - --y k.npy",
      shell(
          "$S sinkhorn --affinity k.npy --plan plan.npy --quiet; $S similarity --k 3 --x plan.npy --y k.npy")
          .out);
  expect_refused("$S klot --student k.npy --teacher kt.npy --gradient - >/dev/full",
                 "standard output: cannot write");
}

TEST_F(StandardStreams, JsonOnStandardOutputIsOneLineAndNothingElse) {
  expect_json(
      "compare --images all_images.npy --texts all_texts.npy --pairs 30 --test 20 --seeds 0 --steps 2 --json "
      "-",
      "methods");
  expect_json("eval --model m.safetensors --images val_images.npy --texts val_texts.npy --json -", "mean_r1");
  expect_json(
      "zeroshot --model m.safetensors --images val_images.npy --prompts val_texts.npy --labels labels.npy "
      "--prompt-classes labels.npy --json -",
      "top1");
  expect_json("similarity --k 3 --x val_images.npy --y val_texts.npy --json -", "cka");
  expect_json("shift --projections 10 --images images.npy --other-images val_images.npy --json -", "images");
  expect_json(
      "teacher --teacher cca --pairs-images pairs_images.npy --pairs-texts pairs_texts.npy --out "
      "t.safetensors "
      "--json -",
      "teacher");
}

TEST_F(StandardStreams, WhatCannotBeAStreamIsRefused) {
  const std::string data = kTrainingOptions, file = ": expected a file, found -: only a matrix may come from",
                    written =
                        ": expected a file, found -: a safetensors file is not written to standard output";
  const auto refused = [&](const std::string& command, const std::string& flag, const std::string& message) {
    const size_t space = command.find(' ');
    expect_refused("$S " + command + " " + flag + " - <val_images.npy",
                   "sotalign " + command.substr(0, space) + ": " + flag + message);
  };
  for (const std::string command : {"train", "sweep"}) {
    for (const char* flag : {"--pairs-images", "--pairs-texts", "--images", "--texts", "--val-images",
                             "--val-texts", "--config"})
      refused(command + " --out o", flag, file);
    refused(command + " " + data, "--out", ": expected a directory, found -");
  }
  refused("sweep " + data + "--out o", "--test-images", file);
  refused("sweep " + data + "--out o", "--test-texts", file);
  for (const char* flag : {"--images", "--texts", "--other-images", "--other-texts", "--plan"})
    refused("study --out o", flag, file);
  refused("study --images k.npy --texts k.npy", "--out", ": expected a directory, found -");
  refused("demo", "--out", ": expected a directory, found -");
  refused("demo", "--data", ": expected a directory, found -");
  refused("split --images k.npy --texts k.npy", "--out", ": expected a directory, found -");
  refused("embed --input k.npy --side image --output o", "--model", file);
  for (const char* flag : {"--model", "--captions", "--query-captions"})
    refused("search --queries k.npy --gallery k.npy", flag, file);
  refused("search --queries k.npy --gallery k.npy", "--thumbnails", ": expected a directory, found -");
  for (const char* flag : {"--model", "--against", "--image-ids", "--text-ids"})
    refused("eval --images k.npy --texts k.npy", flag, file);
  for (const char* flag : {"--model", "--labels", "--prompt-classes"})
    refused("zeroshot --images k.npy --prompts k.npy", flag, file);
  refused("teacher --pairs-images k.npy --pairs-texts k.npy", "--out", written);
  for (const char* flag : {"--a", "--b"}) refused("klot --student k.npy --teacher kt.npy", flag, file);
  for (const char* flag : {"--a", "--b", "--start"}) refused("sinkhorn --affinity k.npy", flag, file);
  refused("sinkhorn --affinity k.npy", "--potentials", written);
  expect_refused("$S info - <m.safetensors", "sotalign info: file" + file);
  // Also where a file of options says so.
  write_file(path("c.json"), R"({"pairs_images": "-"})");
  for (const std::string command : {"train", "sweep"})
    expect_refused("$S " + command + " --config c.json --out o",
                   "sotalign " + command + ": --pairs-images" + file);
  EXPECT_FALSE(std::filesystem::exists(path("o")));
}

TEST_F(StandardStreams, OneStreamIsOneFile) {
  const std::string two = ": expected a file, found - for ";
  expect_refused("$S eval --images - --texts - <k.npy", "--texts" + two + "--images too");
  expect_refused("$S klot --student - --teacher - <k.npy", "--teacher" + two + "--student too");
  expect_refused("$S shift --images - --other-images - <k.npy", "--other-images" + two + "--images too");
  expect_refused("$S teacher --pairs-images - --pairs-texts - --out t <k.npy",
                 "--pairs-texts" + two + "--pairs-images too");
  expect_refused("$S search --queries k.npy --gallery k.npy --scores -", "--scores" + two + "--out too");
}

TEST_F(StandardStreams, ErrorsNameTheStream) {
  for (const std::string& command :
       {std::string("eval --texts val_texts.npy --images -"), std::string("similarity --x k.npy --y -"),
        std::string("compare --texts k.npy --images -"), std::string("shift --images k.npy --other-images -"),
        std::string("klot --student k.npy --teacher -"), std::string("sinkhorn --affinity -"),
        std::string("split --texts k.npy --images - --out o"),
        std::string("teacher --out o --pairs-texts k.npy --pairs-images -")}) {
    expect_refused("$S " + command + " </dev/null", "standard input: expected a .npy file, found nothing");
    expect_refused("cat m.safetensors | $S " + command,
                   "standard input: expected a .npy file, found other content");
    expect_refused("head -c 200 k.npy | $S " + command, "standard input: ");
  }
  std::vector<float> zero(TrainingFiles::kImageDim * 20, 1.0f);
  std::fill_n(zero.begin() + 3 * TrainingFiles::kImageDim, TrainingFiles::kImageDim, 0.0f);
  write_npy(path("zero.npy"), ConstMatrixF(zero.data(), 20, TrainingFiles::kImageDim));
  expect_refused("$S eval --model m.safetensors --texts val_texts.npy --images - <zero.npy",
                 "standard input: row 3: expected a row that is not zero");
  expect_refused("$S eval --model m.safetensors --texts val_texts.npy --images - <val_texts.npy",
                 "standard input: expected 12 columns, as the model has for images, found 9");
  expect_refused("$S eval --texts val_texts.npy --images - <images.npy",
                 "as many rows in standard input as in val_texts.npy, found 60 and 20");
  expect_refused("$S eval --texts val_texts.npy --images - <val_images.npy",
                 "val_texts.npy: without --model, expected 12 columns as in standard input, found 9");
  expect_refused("$S klot --student k.npy --teacher - <val_texts.npy",
                 "standard input: expected shape [20, 20] as in k.npy, found [20, 9]");
  expect_refused("$S similarity --x - --y k.npy --k 20 <k.npy", "the other rows of standard input");
}

}  // namespace program_standard_streams_test
}  // namespace sotalign::testing
