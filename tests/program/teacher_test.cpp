// The command teacher, and training from teachers of other kinds.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_teacher_test {

using Json = nlohmann::json;

TEST(Program, TeacherAloneIsAModel) {
  const TrainingFiles files;
  const ProgramResult result = run_program(
      {"teacher", "--pairs-images", files / "pairs_images.npy", "--pairs-texts", files / "pairs_texts.npy",
       "--val-images", files / "val_images.npy", "--val-texts", files / "val_texts.npy", "--teacher",
       "procrustes", "--teacher-dim", "3", "--out", files / "teacher.safetensors"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "procrustes, 3 dimensions");
  EXPECT_CONTAINS(result.out, "MeanR@1");
  const ProgramResult eval = run_program({"eval", "--model", files / "teacher.safetensors", "--images",
                                          files / "val_images.npy", "--texts", files / "val_texts.npy"});
  EXPECT_EQ(eval.exit_code, 2);
  EXPECT_CONTAINS(eval.err, "--projection");
}

TEST(Program, ChosenNumbersOfTheTeacherAreShownAndKept) {
  const TrainingFiles files;
  const ProgramResult alone = run_program(
      {"teacher", "--pairs-images", files / "pairs_images.npy", "--pairs-texts", files / "pairs_texts.npy",
       "--ridge", "auto", "--json", files / "t.json", "--out", files / "teacher.safetensors"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_CONTAINS(alone.out, "left-out pairs in 65 folds, the best of 9 candidates");
  EXPECT_CONTAINS(alone.out, "  chosen\n");
  const Json search = Json::parse(read_file(files / "t.json"))["search"];
  EXPECT_EQ(search["asked"]["ridge"], "auto");
  EXPECT_EQ(search["asked"]["correlation_power"], 0.5);
  ASSERT_EQ(search["candidates"].size(), 9u);
  double best = 0;
  for (const Json& candidate : search["candidates"])
    best = std::max(best, candidate["mean_reciprocal_rank"].get<double>());
  for (const Json& candidate : search["candidates"])
    if (candidate["ridge"] == search["chosen"]["ridge"]) {
      EXPECT_EQ(candidate["mean_reciprocal_rank"], best);
    }

  // After training, config.json holds the chosen numbers, and teacher.json says that they were chosen.
  write_file(files / "c.json",
             R"({"teacher": "cca", "ridge": "auto", "teacher_dim": "auto", "correlation_power": "auto"})");
  const std::vector<std::string> options = {"--config", files / "c.json", "--steps", "4"};
  const ProgramResult whole = files.train("whole", options);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_CONTAINS(whole.out, "the best of 27 candidates");
  const Json kept = Json::parse(read_file(files / "whole/teacher.json")),
             config = Json::parse(read_file(files / "whole/config.json"));
  for (const char* key : {"ridge", "teacher_dim", "correlation_power"}) {
    EXPECT_EQ(kept["asked"][key], "auto");
    EXPECT_TRUE(kept["chosen"][key].is_number());
    EXPECT_EQ(config[key], kept["chosen"][key]);
  }
  std::vector<std::string> stopped = options;
  stopped.insert(stopped.end(), {"--stop-after", "2"});
  ASSERT_EQ(files.train("parts", stopped).exit_code, 0);
  const ProgramResult resumed = run_program({"train", "--out", files / "parts", "--resume"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  for (const char* name : {"/model.safetensors", "/teacher.json"})
    EXPECT_SAME_FILES(files / "whole" + name, files / "parts" + name);
  // Given numbers are not searched for.
  ASSERT_EQ(files.train("given", {"--steps", "2", "--teacher", "cca"}).exit_code, 0);
  EXPECT_FALSE(std::ifstream(files / "given/teacher.json").good());
}

TEST(Program, ContrastiveTeacher) {
  const TrainingFiles files;
  const ProgramResult alone = run_program({"teacher",
                                           "--pairs-images",
                                           files / "pairs_images.npy",
                                           "--pairs-texts",
                                           files / "pairs_texts.npy",
                                           "--val-images",
                                           files / "val_images.npy",
                                           "--val-texts",
                                           files / "val_texts.npy",
                                           "--teacher",
                                           "contrastive",
                                           "--teacher-dim",
                                           "17",
                                           "--teacher-steps",
                                           "30",
                                           "--teacher-learning-rate",
                                           "0.02",
                                           "--teacher-batch",
                                           "32",
                                           "--out",
                                           files / "teacher.safetensors",
                                           "--json",
                                           files / "t.json"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_CONTAINS(alone.out, "contrastive, 17 dimensions, 30 steps at learning rate 0.02");
  const Json json = Json::parse(read_file(files / "t.json"));
  EXPECT_GT(json["validation"]["mean_r1"].get<double>(), 0.3);
  const ProgramResult eval =
      run_program({"eval", "--model", files / "teacher.safetensors", "--projection", "teacher", "--images",
                   files / "val_images.npy", "--texts", files / "val_texts.npy", "--json", "-"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_EQ(Json::parse(eval.out)["mean_r1"], json["validation"]["mean_r1"]);

  const ProgramResult train =
      files.train("run", {"--teacher", "contrastive", "--teacher-dim", "17", "--steps", "3"});
  ASSERT_EQ(train.exit_code, 0) << train.err;
  EXPECT_CONTAINS(train.out, ", 17 dimensions; SOTAlign, klot weight");
}

}  // namespace program_teacher_test
}  // namespace sotalign::testing
