// Every training option has an effect; flags and configuration files mean the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "sotalign/io/safetensors.h"
#include "support/json_lines.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_training_options_test {

using Json = nlohmann::json;

TEST(Program, FlagsOverrideTheConfigurationAndBothMeanTheSame) {
  const TrainingFiles files;
  write_file(files / "c.json", R"({"steps": 7, "learning_rate": 0.01, "symmetrize": false, "hidden": [6],
                                  "teacher": "procrustes", "beta1": null, "quiet": true})");
  ASSERT_EQ(files.train("by_file", {"--config", files / "c.json", "--steps", "2"}).exit_code, 0);
  ASSERT_EQ(files
                .train("by_flags", {"--learning-rate", "1e-2", "--symmetrize", "false", "--hidden", "6",
                                    "--teacher", "procrustes", "--steps", "2"})
                .exit_code,
            0);
  EXPECT_EQ(Json::parse(read_file(files / "by_file/config.json"))["steps"], 2);
  EXPECT_SAME_FILES(files / "by_file/model.safetensors", files / "by_flags/model.safetensors");
}

/// --relaxation is the default of both plans, wherever it stands.
TEST(Program, RelaxationOfOnePlanOrBoth) {
  const TrainingFiles files;
  write_file(files / "old.json", R"({"relaxation": 1.0})");
  write_file(files / "both.json", R"({"relaxation_teacher": 1.6, "relaxation": 1.2})");
  int run = 0;
  const auto relaxations = [&](std::vector<std::string> arguments) {
    const std::string name = "run" + std::to_string(++run);
    arguments.insert(arguments.end(), {"--steps", "1"});
    const ProgramResult result = files.train(name, arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json config = Json::parse(read_file(files / (name + "/config.json")));
    // What was written gives the same again.
    const ProgramResult again = files.train(name + "b", {"--config", files / (name + "/config.json")});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    const Json second = Json::parse(read_file(files / (name + "b/config.json")));
    for (const char* key : {"relaxation", "relaxation_student", "relaxation_teacher"})
      EXPECT_EQ(second[key], config[key]) << key;
    return Json{config["relaxation"], config["relaxation_student"], config["relaxation_teacher"]};
  };
  EXPECT_EQ(relaxations({}), Json({"auto", 1.3, 1.7}));
  EXPECT_EQ(relaxations({"--relaxation", "1.1"}), Json({1.1, 1.1, 1.1}));
  EXPECT_EQ(relaxations({"--relaxation-teacher", "1.5"}), Json({"auto", 1.3, 1.5}));
  EXPECT_EQ(relaxations({"--relaxation-student", "1.7"}), Json({1.7, 1.7, 1.7}));
  EXPECT_EQ(relaxations({"--relaxation-teacher", "1.5", "--relaxation", "1.1"}), Json({"auto", 1.1, 1.5}));
  EXPECT_EQ(relaxations({"--relaxation", "auto"}), Json({"auto", 1.3, 1.7}));
  EXPECT_EQ(relaxations({"--config", files / "old.json"}), Json({1.0, 1.0, 1.0}));
  EXPECT_EQ(relaxations({"--config", files / "both.json"}), Json({"auto", 1.2, 1.6}));
  EXPECT_EQ(relaxations({"--config", files / "both.json", "--relaxation", "1.4"}), Json({1.4, 1.4, 1.4}));
  EXPECT_EQ(relaxations({"--config", files / "old.json", "--relaxation-teacher", "1.5"}),
            Json({"auto", 1.0, 1.5}));
  for (const char* flag : {"--relaxation", "--relaxation-student", "--relaxation-teacher"})
    for (const char* value : {"0", "2", "-1", "nan", "x"}) {
      const ProgramResult result = files.train("refused", {flag, value});
      EXPECT_EQ(result.exit_code, 2) << flag << ' ' << value;
      EXPECT_CONTAINS(result.err, "relaxation");
    }
}

/// Silently ignored options are what users of such programs complain about most.
TEST(Program, EveryTrainingOptionChangesTheResult) {
  const TrainingFiles files;
  // In this setting every option has an effect.
  const std::vector<std::string> base = {
      "--steps",         "3",    "--batch-pairs",    "20",   "--batch-unpaired", "24",  "--hidden", "8",
      "--learning-rate", "0.01", "--tolerance",      "1e-4", "--ridge",          "0.1", "--dim",    "6",
      "--weight-decay",  "0.1",  "--validate-every", "0"};
  const std::vector<std::pair<std::string, std::string>> changes = {{"--teacher", "procrustes"},
                                                                    {"--ridge", "0.5"},
                                                                    {"--teacher-dim", "2"},
                                                                    {"--correlation-power", "2"},
                                                                    {"--dim", "5"},
                                                                    {"--hidden", "7"},
                                                                    {"--activation", "tanh"},
                                                                    {"--residual", "true"},
                                                                    {"--image-rate", "0.5"},
                                                                    {"--text-rate", "2"},
                                                                    {"--steps", "4"},
                                                                    {"--learning-rate", "0.02"},
                                                                    {"--warmup-steps", "2"},
                                                                    {"--schedule", "constant"},
                                                                    {"--final-fraction", "0.5"},
                                                                    {"--optimizer", "adamw"},
                                                                    {"--beta1", "0.2"},
                                                                    {"--beta2", "0.3"},
                                                                    {"--weight-decay", "0.5"},
                                                                    {"--batch-pairs", "21"},
                                                                    {"--batch-unpaired", "23"},
                                                                    {"--divergence", "infonce"},
                                                                    {"--divergence-weight", "1"},
                                                                    {"--affinity-memory", "fixed16"},
                                                                    {"--epsilon-student", "0.2"},
                                                                    {"--epsilon-teacher", "0.1"},
                                                                    {"--iterations", "3"},
                                                                    {"--tolerance", "0.01"},
                                                                    {"--check-every", "1"},
                                                                    {"--symmetrize", "false"},
                                                                    {"--relaxation", "1.3"},
                                                                    {"--relaxation-student", "1.2"},
                                                                    {"--relaxation-teacher", "1.4"},
                                                                    {"--epsilon-scaling", "4"},
                                                                    {"--sinkhorn-form", "log_domain"},
                                                                    {"--sinkhorn-storage", "ladder"},
                                                                    {"--seed", "1"},
                                                                    {"--hubness-bank", "9"},
                                                                    {"--validate-every", "1"}};
  const auto outcome = [&](const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = files.train(run, arguments);
    EXPECT_EQ(result.exit_code, 0) << run << ": " << result.err;
    // The model file repeats the options, so compare only its numbers.
    std::string text;
    for (Json line : lines_of(files / (run + "/metrics.jsonl"))) {
      line.erase("seconds");
      text += line.dump();
    }
    const SafetensorsFile model = SafetensorsFile::open(files / (run + "/model.safetensors"));
    for (const std::string& name : model.names())
      if (model.type(name) == ElementType::kFloat32)
        for (const float value : model.read_float(name)) text += std::to_string(value) + ' ';
    return text;
  };
  const std::string unchanged = outcome("base", {});
  EXPECT_EQ(outcome("again", {}), unchanged);
  std::set<std::string> tested = {"adam_epsilon", "initialization"};
  const auto contrastive = [&](const std::string& flag, const std::string& value) {
    return outcome("contrastive" + flag, {"--teacher", "contrastive", "--teacher-dim", "9", flag, value});
  };
  const std::string trained = contrastive("--teacher-steps", "5");
  EXPECT_NE(contrastive("--teacher-learning-rate", "0.01"), trained);
  EXPECT_NE(contrastive("--teacher-batch", "20"), trained);
  EXPECT_NE(contrastive("--seed", "0"), trained);  // with the default of 60 steps
  tested.insert({"teacher_steps", "teacher_learning_rate", "teacher_batch"});
  const auto self_training = [&](const std::string& flag, const std::string& value) {
    return outcome("self_training" + flag + value, {"--teacher", "self_training", "--self-training-batch",
                                                    "20", "--self-training-rate", "0.6", flag, value});
  };
  const std::string passes = self_training("--self-training-passes", "12");  // the default
  for (const auto& [flag, value] :
       {std::pair{"--self-training-passes", "2"}, std::pair{"--self-training-batch", "25"},
        std::pair{"--self-training-weight", "1"}, std::pair{"--self-training-rate", "0.2"},
        std::pair{"--self-training-epsilon", "0.1"}})
    EXPECT_NE(self_training(flag, value), passes) << flag;
  tested.insert({"self_training_passes", "self_training_batch", "self_training_weight", "self_training_rate",
                 "self_training_epsilon"});
  // The CPU rounds the factors of its products only if told to.
  setenv("SOTALIGN_ROUND_PRODUCTS", "1", 1);
  EXPECT_NE(outcome("bf16", {"--math", "bf16"}), unchanged);
  unsetenv("SOTALIGN_ROUND_PRODUCTS");
  EXPECT_EQ(outcome("bf16 on a CPU", {"--math", "bf16"}), unchanged);
  tested.insert("math");
  for (const auto& [flag, value] : changes) {
    EXPECT_NE(outcome("with" + flag, {flag, value}), unchanged) << flag;
    std::string key = flag.substr(2);
    std::replace(key.begin(), key.end(), '-', '_');
    tested.insert(key);
  }
  EXPECT_NE(outcome("adam", {"--optimizer", "adamw"}),
            outcome("adam_epsilon", {"--optimizer", "adamw", "--adam-epsilon", "0.1"}));

  EXPECT_NE(outcome("teacher_start", {"--hidden", "", "--dim", "0"}),
            outcome("random_start", {"--hidden", "", "--dim", "0", "--initialization", "random"}));

  // The methods other than SOTAlign, with their own options.
  for (const auto& [method, options] :
       std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>>{
           {"sail", {}},
           {"sail_semi", {}},
           {"structure",
            {{"--structure-weight", "1"},
             {"--structure-temperature", "0.5"},
             {"--structure-warmup-steps", "3"}}},
           {"structure_semi", {}},
           {"sclip", {{"--sclip-weight", "0.1"}, {"--sclip-labels", "soft"}, {"--sclip-epsilon", "0.5"}}},
           {"nnclr",
            {{"--nnclr-neighbours", "2"}, {"--nnclr-image-weight", "3"}, {"--nnclr-text-weight", "0"}}}}) {
    const std::string plain = outcome(method, {"--method", method});
    EXPECT_NE(plain, unchanged);
    for (const auto& [flag, value] : options) {
      EXPECT_NE(outcome(method + flag, {"--method", method, flag, value}), plain) << flag;
      std::string key = flag.substr(2);
      std::replace(key.begin(), key.end(), '-', '_');
      tested.insert(key);
    }
  }
  tested.insert("method");

  // With a single strip, streaming gives the same bits as storing.
  const auto memory = [&](const std::string& run) {
    return Json::parse(read_file(files / (run + "/config.json")))["affinity_memory"].get<std::string>();
  };
  const std::vector<std::string> log_domain = {"--sinkhorn-form", "log_domain"};
  EXPECT_EQ(outcome("little_memory", {"--sinkhorn-form", "log_domain", "--affinity-memory-mib", "0.001"}),
            outcome("log_domain", {"--sinkhorn-form", "log_domain"}));
  EXPECT_EQ(memory("little_memory"), "streamed");
  EXPECT_EQ(memory("base"), "stored");
  EXPECT_EQ(memory("with--affinity-memory"), "fixed16");
  tested.insert("affinity_memory_mib");

  // Both ways of keeping unpaired rows give the same bits.
  for (const std::string rows : {"stored", "streamed"})
    EXPECT_EQ(outcome(rows, {"--unpaired-memory", rows}), unchanged);
  tested.insert("unpaired_memory");

  // A new option must be added to this test. These options concern only files and the machine:
  const std::set<std::string> without_effect = {
      "pairs_images", "pairs_texts",  "images",        "texts",         "val_images", "val_texts",
      "out",          "device",       "threads",       "force_threads", "quiet",      "checkpoint_every",
      "log_every",    "val_captions", "val_thumbnails"};
  const Json config = Json::parse(read_file(files / "base/config.json"));
  for (const auto& [key, value] : config.items())
    EXPECT_TRUE(tested.count(key) == 1 || without_effect.count(key) == 1) << key;
}

}  // namespace program_training_options_test
}  // namespace sotalign::testing
