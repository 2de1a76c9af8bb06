// The program as users see it: golden results, continued training, and every option having an effect.
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/train/method.h"
#include "support/compare.h"
#include "support/npy.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace {

using Json = nlohmann::json;

const std::string kGolden = std::string(SOTALIGN_TEST_DATA) + "/golden/";

Json lines_of(const std::string& path) {
  Json lines = Json::array();
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

std::vector<float> floats(const std::string& path) {
  const HostMatrix matrix = read_npy_matrix(path);
  return {matrix.data(), matrix.data() + matrix.rows() * matrix.cols()};
}

/// Unlike EXPECT_EQ, does not print the files.
#define EXPECT_SAME_FILES(a, b) \
  EXPECT_TRUE(read_file(a) == read_file(b)) << (a) << " and " << (b) << " differ"

TEST(Program, HelpAndVersionSucceed) {
  for (const char* command :
       {"train", "sweep", "embed", "eval", "teacher", "info", "demo", "klot", "divergence", "sinkhorn"}) {
    const ProgramResult result = run_program({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_CONTAINS(result.out, "Example:");
    EXPECT_EQ(result.err, "");
  }
  EXPECT_CONTAINS(run_program({"--help"}).out, "sinkhorn");
  EXPECT_CONTAINS(run_program({"--version"}).out, "sotalign ");
}

TEST(Program, KlotMatchesGoldenVectors) {
  const TemporaryDirectory directory;
  for (const Json& golden : Json::parse(std::ifstream(kGolden + "manifest.json"))) {
    const std::string name = golden.value("case", "");
    if (!name.starts_with("klot_") || !std::ifstream(kGolden + name + ".grad.npy").good()) continue;
    SCOPED_TRACE(name);
    const std::string gradient = directory / (name + ".npy");
    const ProgramResult result = run_program(
        {"klot", "--student", kGolden + name + ".k_student.npy", "--teacher",
         kGolden + name + ".k_teacher.npy", "--epsilon-student", golden["epsilon_student"].dump(),
         "--epsilon-teacher", golden["epsilon_teacher"].dump(), "--iterations", golden["iterations"].dump(),
         "--symmetrize", golden["symmetrize"].dump(), "--gradient", gradient});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const Json json = Json::parse(result.out);
    const double expected = golden["value"];
    EXPECT_WITHIN(std::abs(json["value"].get<double>() - expected),
                  std::abs(expected) < 0.1 ? 1e-6 : 1e-5 * std::abs(expected));
    EXPECT_EQ(json["student"]["iterations"], golden["iterations"]);
    EXPECT_EQ(json["status_student"], "fixed");
    const std::vector<float> found = floats(gradient);
    EXPECT_WITHIN(relative_l1(found, read_golden(kGolden + name + ".grad.npy").values,
                              0.1 / golden["epsilon_student"].get<double>()),
                  5e-5);
  }
}

TEST(Program, DivergencesMatchGoldenVectors) {
  const TemporaryDirectory directory;
  for (const Json& golden : Json::parse(std::ifstream(kGolden + "manifest.json"))) {
    const std::string name = golden.value("case", "");
    if (!name.starts_with("infonce_") && !name.starts_with("cka_")) continue;
    SCOPED_TRACE(name);
    // CKA's cases use the same affinities.
    const std::string affinities = kGolden + "infonce_" + name.back(), gradient = directory / (name + ".npy");
    const std::string kind = name.substr(0, name.find('_'));
    std::vector<std::string> arguments = {"divergence",
                                          "--kind",
                                          kind,
                                          "--student",
                                          affinities + ".k_student.npy",
                                          "--teacher",
                                          affinities + ".k_teacher.npy",
                                          "--gradient",
                                          gradient};
    if (kind == "infonce")
      arguments.insert(arguments.end(), {"--epsilon-student", golden["epsilon_student"].dump(),
                                         "--epsilon-teacher", golden["epsilon_teacher"].dump()});
    const ProgramResult result = run_program(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["divergence"], kind);
    EXPECT_WITHIN(std::abs(json["value"].get<double>() - golden["value"].get<double>()), 1e-6);
    EXPECT_WITHIN(relative_l1(floats(gradient), read_golden(kGolden + name + ".grad.npy").values), 2e-6);
  }
  const std::string k = kGolden + "klot_1.k_student.npy", k_teacher = kGolden + "klot_1.k_teacher.npy";
  const Json klot = Json::parse(run_program({"klot", "--student", k, "--teacher", k_teacher}).out),
             same = Json::parse(run_program({"divergence", "--student", k, "--teacher", k_teacher}).out);
  for (const char* key : {"value", "student", "teacher"}) EXPECT_EQ(klot[key], same[key]);
}

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
  const std::set<std::string> always = {"step",        "loss",       "siglip", "learning_rate",
                                        "logit_scale", "logit_bias", "seconds"};
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
    validations += line.contains("validation") ? 1 : 0;
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

TEST(Program, KlotTakesWeightsAndTolerance) {
  const TemporaryDirectory directory;
  const std::string student = kGolden + "klot_0.k_student.npy", teacher = kGolden + "klot_0.k_teacher.npy";
  const auto klot = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"klot", "--student", student, "--teacher", teacher});
    const ProgramResult result = run_program(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  std::vector<double> weights(64, 1.0);
  weights[3] = 0, weights[7] = 2;
  write_npy(directory / "a.npy", ConstMatrixD(weights.data(), 1, 64));
  const Json plain = klot({}), weighted = klot({"--a", directory / "a.npy"}),
             loose = klot({"--tolerance", "1e-3", "--iterations", "500"});
  EXPECT_NE(plain["value"], weighted["value"]);
  EXPECT_EQ(loose["status_teacher"], "converged");
  EXPECT_LT(loose["student"]["iterations"], loose["teacher"]["iterations"]);
  EXPECT_WITHIN(loose["student"]["row_error"].get<double>(), 1e-3);
}

TEST(Program, SinkhornWritesPlanAndPotentials) {
  const TemporaryDirectory directory;
  const std::string affinity = kGolden + "klot_1.k_student.npy", potentials = directory / "uv.safetensors";
  std::vector<std::string> arguments = {
      "sinkhorn", "--affinity",           affinity,       "--epsilon", "0.05", "--symmetrize", "true",
      "--plan",   directory / "plan.npy", "--potentials", potentials};
  ProgramResult result = run_program(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<float> plan = floats(directory / "plan.npy");
  EXPECT_WITHIN(relative_l1(plan, read_golden(kGolden + "klot_1.plan_student.npy").values), 2e-5);

  const SafetensorsFile file = SafetensorsFile::open(potentials);
  const std::vector<double> u = file.read_double("u"), v = file.read_double("v");
  const std::vector<float> k = floats(affinity);
  ASSERT_EQ(u.size(), 33u);
  ASSERT_EQ(v.size(), 57u);
  std::vector<double> from_potentials;
  for (size_t i = 0; i < u.size(); ++i)
    for (size_t j = 0; j < v.size(); ++j)
      from_potentials.push_back(std::exp(static_cast<double>(k[i * v.size() + j]) / 0.05 + u[i] + v[j]));
  EXPECT_WITHIN(relative_l1(from_potentials, plan), 2e-5);

  // A start at the solution passes the first convergence check.
  result = run_program({"sinkhorn", "--affinity", affinity, "--epsilon", "0.05", "--tolerance", "1e-4",
                        "--check-every", "1", "--start", potentials});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["status"], "converged");
  EXPECT_LE(json["iterations"].get<int64_t>(), 2);
}

TEST(Program, RepeatsSayTheSameAndTheMedianOfTheirTimes) {
  const std::string k = kGolden + "klot_1.k_student.npy", k_teacher = kGolden + "klot_1.k_teacher.npy";
  for (const std::vector<std::string>& once : std::vector<std::vector<std::string>>{
           {"sinkhorn", "--affinity", k}, {"klot", "--student", k, "--teacher", k_teacher}}) {
    std::vector<std::string> often = once;
    often.insert(often.end(), {"--repeat", "4"});
    const ProgramResult single = run_program(once), repeated = run_program(often);
    ASSERT_EQ(single.exit_code, 0) << single.err;
    ASSERT_EQ(repeated.exit_code, 0) << repeated.err;
    Json json = Json::parse(single.out), repeats = Json::parse(repeated.out);
    EXPECT_FALSE(json.contains("repeats"));
    auto seconds = repeats["repeats"].get<std::vector<double>>();
    ASSERT_EQ(seconds.size(), 4u);
    std::sort(seconds.begin(), seconds.end());
    EXPECT_GT(seconds[0], 0);
    EXPECT_DOUBLE_EQ(repeats["seconds"].get<double>(), (seconds[1] + seconds[2]) / 2);
    repeats.erase("repeats");
    json.erase("seconds"), repeats.erase("seconds");
    EXPECT_EQ(json, repeats);
  }
}

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
  const std::string help = run_program({"train", "--help"}).out;
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
  const Json eval = Json::parse(run_program({"eval", "--model", model, "--images", files / "val_images.npy",
                                             "--texts", files / "val_texts.npy", "--json", "-"})
                                    .out);
  EXPECT_EQ(summary["validation"], eval);
}

TEST(Program, EvaluatesGroups) {
  const TrainingFiles files;
  write_npy(files / "ids.npy", std::vector<int64_t>(TrainingFiles::kValidation, 5));
  const ProgramResult result =
      run_program({"eval", "--images", files / "val_images.npy", "--texts", files / "val_images.npy",
                   "--image-ids", files / "ids.npy", "--text-ids", files / "ids.npy", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["mean_r1"], 1.0);
}

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
    best = std::max(best, candidate["mean_r1"].get<double>());
  for (const Json& candidate : search["candidates"])
    if (candidate["ridge"] == search["chosen"]["ridge"]) {
      EXPECT_EQ(candidate["mean_r1"], best);
    }

  // After training, config.json holds the chosen numbers, and teacher.json says that they were chosen.
  write_file(files / "c.json", R"({"ridge": "auto", "teacher_dim": "auto", "correlation_power": "auto"})");
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
  ASSERT_EQ(files.train("given", {"--steps", "2"}).exit_code, 0);
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

  // A new option must be added to this test. These options concern only files and the machine:
  const std::set<std::string> without_effect = {
      "pairs_images", "pairs_texts", "images",        "texts", "val_images",       "val_texts", "out",
      "device",       "threads",     "force_threads", "quiet", "checkpoint_every", "log_every"};
  const Json config = Json::parse(read_file(files / "base/config.json"));
  for (const auto& [key, value] : config.items())
    EXPECT_TRUE(tested.count(key) == 1 || without_effect.count(key) == 1) << key;
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

}  // namespace
}  // namespace sotalign::testing
