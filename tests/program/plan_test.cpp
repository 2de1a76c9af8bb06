// sotalign train --plan: a plan of the run, without the run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program_data.h"
#include "support/tensor_bytes.h"

namespace sotalign::testing {
namespace program_plan_test {

using Json = nlohmann::json;

class PlanProgram : public ::testing::Test {
 protected:
  ProgramResult plan(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train", "--plan"};
    for (const std::string flag :
         {"pairs-images", "pairs-texts", "images", "texts", "val-images", "val-texts"}) {
      std::string file = flag + ".npy";
      std::replace(file.begin(), file.end(), '-', '_');
      arguments.insert(arguments.end(), {"--" + flag, files / file});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  Json json(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--json", "-"});
    const ProgramResult result = plan(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }
  void expect_refused(const std::vector<std::string>& more, const std::string& part) const {
    const ProgramResult result = plan(more);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_CONTAINS(result.err, part);
  }

  TrainingFiles files;
};

TEST_F(PlanProgram, PrintsMemoryAndTimeAndTrainsNothing) {
  const int64_t entries = files.entries();
  const ProgramResult result = plan({"--batch-unpaired", "40"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* part : {"memory    of cpu", "unpaired images", "60 x 12", "kept during the run",
                           "klot      affinities stored", "fits      yes: ", "a Sinkhorn iteration",
                           "5 + 20 iterations", "100 + 100 iterations", "60 steps"})
    EXPECT_CONTAINS(result.out, part);
  EXPECT_EQ(files.entries(), entries);
  EXPECT_EQ(plan({"--quiet"}).out, "");
}

TEST_F(PlanProgram, TheJsonHasTheSame) {
  const Json plan = json();
  int64_t kept = 0;
  for (const Json& buffer : plan["buffers"])
    if (buffer["life"] == "rows" || buffer["life"] == "run") kept += buffer["bytes"].get<int64_t>();
  EXPECT_EQ(plan["kept_bytes"], kept);
  EXPECT_EQ(plan["step"]["unpaired_images"], TrainingFiles::kImages);
  EXPECT_EQ(plan["step"]["pairs"], TrainingFiles::kPairs);
  EXPECT_EQ(plan["fits"], true);
  double seconds = 0;
  for (const Json& part : plan["time"]["parts"]) seconds += part["seconds"].get<double>();
  const Json most = plan["time"]["most"];
  EXPECT_NEAR(most["seconds"].get<double>(),
              seconds + 100 * plan["time"]["seconds_per_iteration"].get<double>(), 1e-9)
      << "every step has all rows, so that the teacher's plan is kept";
  const std::string path = files / "plan.json";
  EXPECT_EQ(this->plan({"--json", path}).exit_code, 0);
  EXPECT_EQ(Json::parse(read_file(path))["kept_bytes"], kept);
}

TEST_F(PlanProgram, OptionsChangeIt) {
  EXPECT_GT(json({"--hidden", "512"})["step"]["parameters"], json()["step"]["parameters"]);
  EXPECT_EQ(json({"--batch-unpaired", "7"})["step"]["unpaired_texts"], 7);
  EXPECT_CONTAINS(json({"--affinity-memory", "fixed16"})["affinity_memory"], "fixed16");
  write_file(files / "c.json", R"({"batch_unpaired": 9})");
  EXPECT_EQ(json({"--config", files / "c.json"})["step"]["unpaired_images"], 9);
  EXPECT_CONTAINS(plan({"--method", "structure"}).out, "the time of a step of STRUCTURE is not known");
}

TEST_F(PlanProgram, StreamedRowsTakeTwoBatches) {
  const Json stored = json({"--batch-unpaired", "10"}),
             streamed = json({"--batch-unpaired", "10", "--unpaired-memory", "streamed"});
  const auto bytes = [](const Json& plan, const char* name) {
    int64_t found = 0;
    for (const Json& buffer : plan["buffers"])
      if (buffer["name"] == name) found = buffer["bytes"];
    return found;
  };
  EXPECT_EQ(bytes(stored, "unpaired images"), 60 * 12 * 4);
  EXPECT_EQ(bytes(streamed, "unpaired images"), 0);
  EXPECT_EQ(bytes(streamed, "batches on their way"), 2 * 10 * (12 + 9) * 4);
  EXPECT_CONTAINS(plan({"--unpaired-memory", "streamed"}).out, "unpaired  rows streamed");
}

/// Only the header is read: the file would be refused for its values.
TEST_F(PlanProgram, ReadsNoRows) {
  std::vector<float> rows(60 * 12, NAN);
  write_npy(files / "nan.npy", ConstMatrixF(rows.data(), 60, 12));
  EXPECT_EQ(plan({"--images", files / "nan.npy"}).exit_code, 0);
}

/// A file of 2 TB that has no blocks on the disk.
TEST_F(PlanProgram, SaysThatItDoesNotFit) {
  constexpr int64_t kRows = int64_t{40} << 30;
  const std::string large = files / "large.npy";
  write_file(large, npy_file("<f4", kRows, 12, ""));
  std::error_code failed;
  std::filesystem::resize_file(large, std::filesystem::file_size(large) + kRows * 12 * 4, failed);
  if (failed) GTEST_SKIP() << "the file system has no files of this size: " << failed.message();
  const ProgramResult result = plan({"--images", large, "--unpaired-memory", "stored"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "fits      no: ");
  EXPECT_EQ(json({"--images", large, "--unpaired-memory", "stored"})["fits"], false);
  EXPECT_EQ(json({"--images", large})["fits"], true) << "rows stay in the file";
}

TEST_F(PlanProgram, Refuses) {
  expect_refused({"--resume"}, "--plan: not allowed with --resume");
  expect_refused({"--stop-after", "3"}, "--stop-after");
  expect_refused({"--steps", "0"}, "steps: expected at least 1");
  expect_refused({"--images", files / "texts.npy"}, "texts.npy: expected 12 columns");
  expect_refused({"--images", files / "nowhere.npy"}, "nowhere.npy");
  expect_refused({"--pairs-texts", files / "texts.npy"}, "pairs: expected as many rows");
  write_file(files / "short.npy", npy_file("<f4", 60, 12, std::string(100, '\0')));
  expect_refused({"--images", files / "short.npy"}, "short.npy");
  EXPECT_CONTAINS(files.train("run", {"--json", files / "x.json"}).err, "--json: expected --plan");
  const ProgramResult none = run_program({"train", "--plan"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_CONTAINS(none.err, "--pairs-images");
  EXPECT_EQ(none.err.find("--out"), std::string::npos) << none.err;
}

}  // namespace program_plan_test
}  // namespace sotalign::testing
