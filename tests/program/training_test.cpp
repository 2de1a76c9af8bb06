// Training as users see it: its files, its methods, its models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "sotalign/io/npy.h"
#include "sotalign/train/method.h"
#include "support/compare.h"
#include "support/json_lines.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_training_test {

using Json = nlohmann::json;

TEST(Program, TrainingNamesItsDivergence) {
  const TrainingFiles files;
  const ProgramResult result =
      files.train("run", {"--steps", "4", "--divergence", "infonce", "--log-every", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "infonce weight 30");
  EXPECT_EQ(Json::parse(read_file(files / "run/config.json"))["divergence"], "infonce");
  const Json line = lines_of(files / "run/metrics.jsonl")[0];
  EXPECT_GT(line["infonce"].get<double>(), 0.0);
  EXPECT_FALSE(line.contains("klot"));
  EXPECT_CONTAINS(run_program({"info", files / "run/model.safetensors"}).out, "\"divergence\":\"infonce\"");
}

TEST(Program, TrainsByEveryMethod) {
  const TrainingFiles files;
  struct Expected {
    const char *name, *model;
    std::vector<std::string> terms;
  };
  const std::set<std::string> always = {"type",          "step",        "loss",       "siglip",
                                        "learning_rate", "logit_scale", "logit_bias", "seconds"};
  for (const auto& [name, model, terms] :
       {Expected{"sotalign", "; SOTAlign, klot weight 30", {"klot", "student", "teacher"}},
        Expected{"sail", "; SAIL\n", {}}, Expected{"sail_semi", "; SAIL semi\n", {}},
        Expected{"structure", "; STRUCTURE, weight 10\n", {"structure"}},
        Expected{"structure_semi", "; STRUCTURE semi, weight 10\n", {"structure"}},
        Expected{"sclip", "; S-CLIP, ot labels, weight 1\n", {"sclip"}},
        Expected{"nnclr", "; NNCLR, 5 neighbours, weights 1 and 1\n", {"nnclr_image", "nnclr_text"}}}) {
    SCOPED_TRACE(name);
    const ProgramResult result = files.train(name, {"--steps", "2", "--method", name, "--log-every", "1"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_CONTAINS(result.out, model);
    EXPECT_EQ(Json::parse(read_file(files / (std::string(name) + "/config.json")))["method"], name);
    std::set<std::string> keys = always, found;
    keys.insert(terms.begin(), terms.end());
    const Json first = lines_of(files / (std::string(name) + "/metrics.jsonl"))[0];
    for (const auto& [key, value] : first.items()) found.insert(key);
    EXPECT_EQ(found, keys);
  }
  // Its steps are passes.
  ASSERT_EQ(files.train("passes", {"--method", "self_training", "--self-training-passes", "3"}).exit_code, 0);
  const std::vector<Json> lines = lines_of(files / "passes/metrics.jsonl");
  std::set<std::string> found;
  int64_t validations = 0;
  for (const Json& line : lines) {
    EXPECT_EQ(line["type"], line.contains("validation") ? "validation" : "step");
    validations += line["type"] == "validation" ? 1 : 0;
    for (const auto& [key, value] : line.items()) found.insert(key);
  }
  EXPECT_EQ(validations, 3);  // one for each pass
  for (const char* key : {"transport_cost", "change", "effective_matches", "correlation_sum"})
    EXPECT_EQ(found.count(key), 1u) << key;
  EXPECT_EQ(found.count("siglip"), 0u);
  EXPECT_EQ(Json::parse(read_file(files / "passes/config.json"))["steps"], 3);
  EXPECT_CONTAINS(files.train("sail_by_weight", {"--steps", "1", "--divergence-weight", "0"}).out,
                  "; SAIL (SOTAlign without divergence)\n");
}

TEST(Program, ComparesAnotherMethodWithSail) {
  const TrainingFiles files;
  const ProgramResult result =
      run_program({"compare", "--images", files / "pairs_images.npy", "--texts", files / "pairs_texts.npy",
                   "--pairs", "15", "--test", "10", "--seeds", "0,1", "--steps", "3", "--method", "nnclr",
                   "--json", files / "c.json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "MeanR@1 gain of NNCLR over teacher: ");
  const Json json = Json::parse(read_file(files / "c.json"));
  EXPECT_EQ(json["method"], "nnclr");
  std::set<std::string> methods;
  for (const auto& [name, figures] : json["methods"].items()) methods.insert(name);
  EXPECT_EQ(methods, (std::set<std::string>{"teacher", "SAIL", "NNCLR"}));
}

TEST(Program, TrainingWritesWhatItPromises) {
  const TrainingFiles files;
  const ProgramResult result = files.train("run", {"--steps", "4", "--hidden", "9,7", "--quiet"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
  const Json config = Json::parse(read_file(files / "run/config.json"));
  EXPECT_EQ(config["steps"], 4);
  EXPECT_EQ(config["hidden"], Json({9, 7}));
  EXPECT_EQ(config["symmetrize"], true);
  EXPECT_EQ(config["optimizer"], "lion");
  const Json summary = Json::parse(read_file(files / "run/summary.json"));
  EXPECT_GE(summary["validation_teacher"]["mean_r1"].get<double>(), 0.0);
  EXPECT_EQ(summary["step"], 4);
  const std::string info = run_program({"info", files / "run/model.safetensors"}).out;
  EXPECT_CONTAINS(info, "image_head.2.weight");
  EXPECT_CONTAINS(info, "\"divergence_weight\"");
}

TEST(Program, TrainTakesTheOptionsOfEveryMethod) {
  const std::string help = run_program({"train", "--help-all"}).out;
  for (const char* name :
       {"sotalign", "sail", "sail_semi", "structure", "structure_semi", "nnclr", "sclip"}) {
    EXPECT_CONTAINS(help, name);
    for (const OptionInfo& option : find_method(name).options) {
      std::string flag = "--" + option.key + " ";
      std::replace(flag.begin(), flag.end(), '_', '-');
      EXPECT_CONTAINS(help, flag);
      EXPECT_CONTAINS(help, option.help);
    }
  }
}

TEST(Program, EmbeddedRowsEvaluateLikeTheModel) {
  const TrainingFiles files;
  ASSERT_EQ(files.train("run", {"--steps", "3"}).exit_code, 0);
  const std::string model = files / "run/model.safetensors";
  for (const std::string projection : {"heads", "teacher"}) {
    for (const std::string side : {"image", "text"}) {
      const ProgramResult result = run_program({"embed", "--model", model, "--side", side, "--input",
                                                files / ("val_" + side + "s.npy"), "--output",
                                                files / (side + ".npy"), "--projection", projection});
      ASSERT_EQ(result.exit_code, 0) << result.err;
    }
    const HostMatrix rows = read_npy_matrix(files / "image.npy");
    double norm = 0;
    for (int64_t j = 0; j < rows.cols(); ++j) norm += std::pow(rows.data()[j], 2);
    EXPECT_WITHIN(std::abs(norm - 1), 1e-5);
    const ProgramResult ours = run_program({"eval", "--model", model, "--projection", projection, "--images",
                                            files / "val_images.npy", "--texts", files / "val_texts.npy",
                                            "--json", "-"}),
                        theirs = run_program({"eval", "--images", files / "image.npy", "--texts",
                                              files / "text.npy", "--json", files / "eval.json"});
    ASSERT_EQ(ours.exit_code, 0) << ours.err;
    EXPECT_EQ(Json::parse(ours.out), Json::parse(read_file(files / "eval.json")));
    EXPECT_CONTAINS(theirs.out, "MeanR@1");
  }
  const Json summary = Json::parse(read_file(files / "run/summary.json"));
  Json eval = Json::parse(run_program({"eval", "--model", model, "--images", files / "val_images.npy",
                                       "--texts", files / "val_texts.npy", "--json", "-"})
                              .out);
  eval.erase("intervals");
  EXPECT_EQ(summary["validation"], eval);
}

TEST(Program, ThreadsChangeRoundingAtMost) {
  const TrainingFiles files;
  const auto loss = [&](const std::string& threads) {
    EXPECT_EQ(files.train("run" + threads, {"--steps", "3", "--threads", threads}).exit_code, 0);
    return Json::parse(read_file(files / ("run" + threads + "/summary.json")))["loss"].get<double>();
  };
  const double one = loss("1"), two = loss("2");
  EXPECT_WITHIN(std::abs(one - two), 1e-4 * one);
  // The same number of threads gives the same bits.
  ASSERT_EQ(files.train("again", {"--steps", "3", "--threads", "2"}).exit_code, 0);
  EXPECT_SAME_FILES(files / "again/model.safetensors", files / "run2/model.safetensors");
}

}  // namespace program_training_test
}  // namespace sotalign::testing
