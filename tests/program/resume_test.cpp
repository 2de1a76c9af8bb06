// Training that is stopped or interrupted, and continued.
#include <gtest/gtest.h>

#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/json_lines.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_resume_test {

using Json = nlohmann::json;

TEST(Program, StopAndResumeGiveTheSameBits) {
  const TrainingFiles files;
  const std::vector<std::string> options = {
      "--steps", "12", "--validate-every", "3", "--checkpoint-every", "4", "--log-every", "2"};
  ASSERT_EQ(files.train("whole", options).exit_code, 0);
  std::vector<std::string> stopped = options;
  stopped.insert(stopped.end(), {"--stop-after", "5"});
  const ProgramResult first = files.train("parts", stopped);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_CONTAINS(first.out, "klot      affinities stored: ");
  EXPECT_CONTAINS(first.out, "--resume");
  EXPECT_FALSE(std::ifstream(files / "parts/model.safetensors").good());
  const ProgramResult second = run_program({"train", "--out", files / "parts", "--resume"});
  ASSERT_EQ(second.exit_code, 0) << second.err;

  for (const char* name : {"/model.safetensors", "/checkpoint.safetensors"})
    EXPECT_SAME_FILES(files / "whole" + name, files / "parts" + name);
  Json whole = lines_of(files / "whole/metrics.jsonl"), parts = lines_of(files / "parts/metrics.jsonl");
  for (Json* lines : {&whole, &parts})
    for (Json& line : *lines) EXPECT_EQ(line.erase("seconds"), 1u);
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(whole.size(), 6u + 4u);

  // Lines after the checkpoint belong to steps that will be repeated.
  std::ofstream(files / "parts/metrics.jsonl", std::ios::app) << "{\"step\": 13}\n{\"step\": 1";
  ASSERT_EQ(run_program({"train", "--out", files / "parts", "--resume"}).exit_code, 0);
  EXPECT_EQ(lines_of(files / "parts/metrics.jsonl").size(), 10u);
  const auto summary = [&](const std::string& run) {
    Json json = Json::parse(read_file(files / (run + "/summary.json")));
    json.erase("seconds");
    return json;
  };
  EXPECT_EQ(summary("whole"), summary("parts"));
  EXPECT_SAME_FILES(files / "whole/model.safetensors", files / "parts/model.safetensors");
}

TEST(Program, InterruptedTrainingCanBeResumed) {
  const TrainingFiles files;
  const std::vector<std::string> options = {
      "--steps", "1000000", "--log-every", "1", "--checkpoint-every", "0", "--validate-every", "0"};
  const ProgramResult result = files.train("run", options, [&](pid_t child) {
    for (int ms = 0; ms < 60000 && read_file(files / "run/metrics.jsonl").empty(); ++ms) usleep(1000);
    kill(child, SIGINT);
  });
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_CONTAINS(result.out, "to continue: sotalign train --out ");
  const size_t before = lines_of(files / "run/metrics.jsonl").size();
  const ProgramResult resumed = run_program(
      {"train", "--out", files / "run", "--resume", "--stop-after", std::to_string(before + 2), "--quiet"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  const Json lines = lines_of(files / "run/metrics.jsonl");
  ASSERT_EQ(lines.size(), before + 2);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["step"], i + 1);
}

}  // namespace program_resume_test
}  // namespace sotalign::testing
