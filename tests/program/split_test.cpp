// sotalign split: its rows are those of compare, each in one file, as they were stored.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "sotalign/core/random.h"
#include "sotalign/io/safetensors.h"
#include "support/program_data.h"
#include "support/tensor_bytes.h"

namespace sotalign::testing {
namespace program_split_test {

using Json = nlohmann::json;
using RowNumbers = std::vector<int64_t>;
namespace fs = std::filesystem;

constexpr int64_t kRows = 90, kPairs = 20, kValidation = 7, kTest = 13;

class SplitProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    files.write("all_images.npy", kRows, TrainingFiles::kImageDim, 1, 1);
    files.write("all_texts.npy", kRows, TrainingFiles::kTextDim, 1, 2);
  }
  std::string path(const std::string& name) const { return files / name; }
  ProgramResult split(const std::string& images, const std::string& texts, const std::string& out,
                      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"split",   "--images", path(images), "--texts", path(texts),
                                          "--pairs", "20",       "--test",     "13",      "--validation",
                                          "7",       "--out",    path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  Json numbers(const std::string& out) const { return Json::parse(read_file(path(out + "/split.json"))); }

  TrainingFiles files;
};

/// What compare does with this seed; see run/experiment.h.
std::map<std::string, RowNumbers> expected_split(uint64_t seed) {
  const auto shuffled = [seed](RowNumbers rows, const char* stream) {
    const RandomStream random(seed, stream_id(stream));
    std::sort(rows.begin(), rows.end(), [&](int64_t i, int64_t j) {
      return random.bits64(static_cast<uint64_t>(i)) < random.bits64(static_cast<uint64_t>(j));
    });
    return rows;
  };
  RowNumbers all(kRows);
  std::iota(all.begin(), all.end(), 0);
  all = shuffled(all, "demo.split");
  const auto part = [&](int64_t from, int64_t to) {
    return RowNumbers(all.begin() + from, all.begin() + to);
  };
  const RowNumbers rest = part(kPairs + kTest + kValidation, kRows);
  return {{"pairs", part(0, kPairs)},
          {"test", part(kPairs, kPairs + kTest)},
          {"validation", part(kPairs + kTest, kPairs + kTest + kValidation)},
          {"unpaired_images", shuffled(rest, "demo.images")},
          {"unpaired_texts", shuffled(rest, "demo.texts")}};
}

const std::map<std::string, std::string> kPrefixes = {
    {"pairs", "pairs_"}, {"validation", "val_"}, {"test", "test_"}};

TEST_F(SplitProgram, RowsAreThoseOfCompareAndKeepTheirBytes) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{5}}) {
    const std::string out = "data" + std::to_string(seed);
    const ProgramResult result =
        split("all_images.npy", "all_texts.npy", out, {"--seed", std::to_string(seed)});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_CONTAINS(result.out, "20 pairs, 7 validation, 13 test, 50 unpaired rows of each side");
    const Json json = numbers(out);
    EXPECT_EQ(json["rows"], kRows);
    EXPECT_EQ(json["seed"], seed);
    int seen = 0;
    for (const auto& [key, rows] : expected_split(seed)) {
      SCOPED_TRACE(key);
      EXPECT_EQ(json[key].get<RowNumbers>(), rows);
      for (const std::string side : {"images", "texts"}) {
        const bool unpaired = key.starts_with("unpaired");
        if (unpaired && key != "unpaired_" + side) continue;
        const ArrayBytes all = npy_parts(read_file(path("all_" + side + ".npy"))),
                         part = npy_parts(read_file(
                             path(out + "/" + (unpaired ? "" : kPrefixes.at(key)) + side + ".npy")));
        EXPECT_EQ(part.type, "<f4");
        EXPECT_EQ(part.shape, (RowNumbers{static_cast<int64_t>(rows.size()), all.shape[1]}));
        const size_t bytes = static_cast<size_t>(all.shape[1]) * 4;
        std::string expected;
        for (const int64_t row : rows) expected += all.data.substr(static_cast<size_t>(row) * bytes, bytes);
        EXPECT_TRUE(part.data == expected);
        ++seen;
      }
    }
    EXPECT_EQ(seen, 8);
  }
  EXPECT_NE(numbers("data0")["test"], numbers("data5")["test"]);
  ASSERT_EQ(split("all_images.npy", "all_texts.npy", "again").exit_code, 0);
  for (const auto& entry : fs::directory_iterator(path("again")))
    EXPECT_SAME_FILES(entry.path(), path("data0/" + entry.path().filename().string()));
  EXPECT_EQ(std::distance(fs::directory_iterator(path("again")), fs::directory_iterator()), 9);
  // train takes the files.
  const std::string in = path("again/");
  const ProgramResult trained = run_program(
      {"train", "--pairs-images", in + "pairs_images.npy", "--pairs-texts", in + "pairs_texts.npy",
       "--images", in + "images.npy", "--texts", in + "texts.npy", "--val-images", in + "val_images.npy",
       "--val-texts", in + "val_texts.npy", "--steps", "2", "--out", path("run")});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
}

TEST_F(SplitProgram, TypesAreKept) {
  const RowNumbers test = expected_split(0)["test"];
  // Every element is another number, so a row that goes astray is seen.
  std::vector<uint16_t> halves;
  std::vector<double> doubles, by_columns;
  for (uint16_t i = 0; i < kRows * 3; ++i) halves.push_back(static_cast<uint16_t>(0x3c00 + i));
  for (int i = 0; i < kRows * 3; ++i) doubles.push_back(1 + i / 7.0);
  for (size_t j = 0; j < 3; ++j)
    for (size_t i = 0; i < kRows; ++i) by_columns.push_back(doubles[i * 3 + j]);
  write_file(path("h.npy"), npy_file("<f2", kRows, 3, raw_bytes(halves)));
  write_file(path("f.npy"), npy_file("<f8", kRows, 3, raw_bytes(by_columns), true));
  ASSERT_EQ(split("h.npy", "f.npy", "data").exit_code, 0);
  const ArrayBytes half = npy_parts(read_file(path("data/test_images.npy"))),
                   doubled = npy_parts(read_file(path("data/test_texts.npy")));
  EXPECT_EQ(half.type, "<f2");
  EXPECT_EQ(doubled.type, "<f8");
  const auto expected = [&](const auto& values) {
    std::decay_t<decltype(values)> rows;
    for (const int64_t row : test)
      rows.insert(rows.end(), values.begin() + 3 * row, values.begin() + 3 * row + 3);
    return rows;
  };
  EXPECT_EQ(values_in<uint16_t>(half.data), expected(halves));
  EXPECT_EQ(values_in<double>(doubled.data), expected(doubles));

  // .npy has no bfloat16.
  std::vector<float> coarse;
  for (int i = 0; i < kRows * 3; ++i) coarse.push_back(static_cast<float>(i % 200 + 1));
  SafetensorsWriter writer;
  writer.add_as(ElementType::kBfloat16, "x", {kRows, 3}, coarse.data());
  writer.write(path("b.safetensors"));
  ASSERT_EQ(split("b.safetensors:x", "h.npy", "other").exit_code, 0);
  const ArrayBytes wide = npy_parts(read_file(path("other/test_images.npy")));
  EXPECT_EQ(wide.type, "<f4");
  EXPECT_EQ(values_in<float>(wide.data), expected(coarse));
}

TEST_F(SplitProgram, NoValidationRowsNoFiles) {
  ASSERT_EQ(split("all_images.npy", "all_texts.npy", "data", {"--validation", "0"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(path("data/val_images.npy")));
  EXPECT_EQ(numbers("data")["validation"], Json::array());
}

TEST_F(SplitProgram, Refuses) {
  const auto expect_refused = [&](const ProgramResult& result, const std::vector<std::string>& parts) {
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(fs::exists(path("data")));
  };
  const auto with = [&](const std::vector<std::string>& more) {
    return split("all_images.npy", "all_texts.npy", "data", more);
  };
  expect_refused(split("all_images.npy", "texts.npy", "data"), {"all_images.npy", "texts.npy", "90 and 50"});
  expect_refused(split("all_images.npy", "none.npy", "data"), {"none.npy"});
  expect_refused(with({"--pairs", "70"}), {"70 pairs, 13 test and 7 validation", "found 90"});
  expect_refused(with({"--pairs", "9223372036854775807"}), {"found 90"});
  expect_refused(with({"--pairs", "1"}), {"pairs: expected at least 2, found 1"});
  expect_refused(with({"--test", "0"}), {"test: expected at least 1, found 0"});
  expect_refused(with({"--validation", "-1"}), {"validation: expected at least 0, found -1"});
  expect_refused(with({"--seed", "-1"}), {"--seed"});
  std::vector<float> values(kRows * 2, 1.0f);
  values[150] = std::nanf("");
  write_npy(path("nan.npy"), ConstMatrixF(values.data(), kRows, 2));
  expect_refused(split("all_images.npy", "nan.npy", "data"), {"nan.npy: row 75, column 0 is nan"});
  const ProgramResult full = split("all_images.npy", "all_texts.npy", "run_before");
  EXPECT_EQ(full.exit_code, 0);
  EXPECT_CONTAINS(split("all_images.npy", "all_texts.npy", "run_before").err, "new or empty");
}

}  // namespace program_split_test
}  // namespace sotalign::testing
