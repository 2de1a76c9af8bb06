// sotalign sweep as users see it: which runs it makes, that they equal those of train, what it keeps, and
// that a sweep in parts equals a sweep in one go.
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "support/csv.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_sweep_test {

using Json = nlohmann::ordered_json;

class SweepProgram : public ::testing::Test {
 protected:
  SweepProgram() {
    files.write("test_images.npy", 30, TrainingFiles::kImageDim, 7, 8);
    files.write("test_texts.npy", 30, TrainingFiles::kTextDim, 7, 9);
  }

  std::string path(const std::string& name) const { return files / name; }
  Json json(const std::string& name) const { return Json::parse(read_file(path(name))); }

  ProgramResult sweep(const std::string& out, const std::vector<std::string>& options) const {
    const ProgramResult result = files.command("sweep", out, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }

  /// csv_rows() of sweep.csv.
  std::vector<std::map<std::string, std::string>> csv(const std::string& out) const {
    return csv_rows(path(out + "/sweep.csv"));
  }

  void expect_refused(const std::vector<std::string>& options, const std::vector<std::string>& parts) const {
    const ProgramResult result = files.command("sweep", "refused", options);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("sotalign sweep: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(std::filesystem::exists(path("refused")));
  }

  const TrainingFiles files;
};

/// The parts that do not depend on running time.
Json lasting(Json sweep) {
  for (Json& run : sweep["runs"]) EXPECT_EQ(run.erase("seconds"), 1u);
  return sweep;
}

TEST_F(SweepProgram, TrainsEveryCombinationAndSelectsTheBest) {
  const ProgramResult result =
      sweep("out", {"--vary", "divergence_weight=0,3,30", "--vary", "learning_rate=1e-5,1e-2", "--steps", "4",
                    "--validate-every", "2"});
  const Json written = json("out/sweep.json");
  ASSERT_EQ(written["runs"].size(), 6u);
  const auto rows = csv("out");
  ASSERT_EQ(rows.size(), 6u);
  std::vector<double> scores;
  for (size_t i = 0; i < 6; ++i) {
    const Json& run = written["runs"][i];
    const double weight = std::vector{0.0, 3.0, 30.0}[i / 2], rate = std::vector{1e-5, 1e-2}[i % 2];
    EXPECT_EQ(run["settings"], Json({{"divergence_weight", weight}, {"learning_rate", rate}}));
    EXPECT_TRUE(run["step"] == 0 || run["step"] == 2 || run["step"] == 4);
    EXPECT_GT(run["seconds"].get<double>(), 0);
    scores.push_back(run["validation"]["mean_reciprocal_rank"]);
    EXPECT_EQ(rows[i].at("run"), std::to_string(i + 1));
    EXPECT_EQ(std::stod(rows[i].at("divergence_weight")), weight);
    EXPECT_EQ(std::stod(rows[i].at("learning_rate")), rate);
    EXPECT_EQ(std::stod(rows[i].at("mean_reciprocal_rank")), scores.back());
    EXPECT_EQ(std::stod(rows[i].at("mean_r1")), run["validation"]["mean_r1"].get<double>());
    EXPECT_EQ(std::stod(rows[i].at("teacher_mean_r1")), run["validation_teacher"]["mean_r1"].get<double>());
    EXPECT_EQ(rows[i].at("step"), run["step"].dump());
    EXPECT_EQ(rows[i].at("failure"), "");
    for (const std::string side : {"image_to_text", "text_to_image"})
      for (const std::string column : {"r1", "r5", "r10", "median_rank"})
        EXPECT_EQ(std::stod(rows[i].at(side + "_" + column)), run["validation"][side][column].get<double>());
  }
  const auto best = std::max_element(scores.begin(), scores.end());  // the first of equals
  EXPECT_LT(*std::min_element(scores.begin(), scores.end()), *best);
  EXPECT_EQ(written["selected"], written["runs"][static_cast<size_t>(best - scores.begin())]["settings"]);
  EXPECT_EQ(json("out/config.json")["divergence_weight"], written["selected"]["divergence_weight"]);

  EXPECT_CONTAINS(result.out, "6 runs; selection by mean reciprocal rank on 20 validation pairs");
  EXPECT_CONTAINS(result.out, "  best so far, ");
  // After each run but the last, the time left for all others.
  size_t left = 0;
  for (size_t at = 0; (at = result.out.find(" left\n", at)) != std::string::npos; ++at) ++left;
  EXPECT_EQ(left, 5u);
  EXPECT_CONTAINS(result.out, "selected\n");
  EXPECT_FALSE(written.contains("test"));
  EXPECT_EQ(std::filesystem::exists(path("out/checkpoint.safetensors")), false);
}

TEST_F(SweepProgram, RunsAreThoseOfTrain) {
  const std::vector<std::string> base = {"--steps", "6", "--validate-every", "2", "--seed", "5"};
  std::vector<std::string> options = base;
  options.insert(options.end(), {"--vary", "learning_rate=0.02,3e-4", "--vary", "hidden=[],[8, 6]", "--vary",
                                 "affinity_memory=auto,fixed16"});
  sweep("out", options);
  const Json written = json("out/sweep.json");
  ASSERT_EQ(written["runs"].size(), 8u);
  EXPECT_EQ(csv("out")[2].at("hidden"), "[8,6]");
  // A run that was not selected.
  for (const Json& run : written["runs"]) {
    if (run["settings"]["hidden"].empty() || run["settings"] == written["selected"]) continue;
    options = base;
    options.insert(options.end(),
                   {"--learning-rate", run["settings"]["learning_rate"].dump(), "--hidden", "8,6",
                    "--affinity-memory", run["settings"]["affinity_memory"].get<std::string>()});
    ASSERT_EQ(files.train("other", options).exit_code, 0);
    const Json summary = json("other/summary.json");
    EXPECT_EQ(run["validation"], summary["validation"]);
    EXPECT_EQ(run["validation_teacher"], summary["validation_teacher"]);
    EXPECT_EQ(run["step"], summary["model_step"]);
    break;
  }
  ASSERT_TRUE(std::filesystem::exists(path("other")));
  // The selected run, from its configuration.
  const ProgramResult trained =
      run_program({"train", "--config", path("out/config.json"), "--out", path("selected")});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_SAME_FILES(path("out/model.safetensors"), path("selected/model.safetensors"));
  const auto selected = std::find_if(written["runs"].begin(), written["runs"].end(),
                                     [&](const Json& run) { return run["settings"] == written["selected"]; });
  ASSERT_NE(selected, written["runs"].end());
  EXPECT_EQ((*selected)["validation"], json("selected/summary.json")["validation"]);
}

TEST_F(SweepProgram, EveryPassOfSelfTrainingIsACandidate) {
  // Few pairs, so that passes change what is found.
  files.write("few_images.npy", 8, TrainingFiles::kImageDim, 1, 1);
  files.write("few_texts.npy", 8, TrainingFiles::kTextDim, 1, 2);
  const std::vector<std::string> base = {
      "--pairs-images", path("few_images.npy"), "--pairs-texts",          path("few_texts.npy"),
      "--method",       "self_training",        "--self-training-passes", "4"};
  std::vector<std::string> options = base;
  options.insert(options.end(), {"--vary", "self_training_weight=0.1,0.3,1,3"});
  sweep("out", options);
  const Json runs = json("out/sweep.json")["runs"];
  ASSERT_EQ(runs.size(), 4u);
  bool between = false;  // a pass that is neither the first nor the last candidate
  for (const Json& run : runs) {
    SCOPED_TRACE(run.dump());
    const std::string weight = run["settings"]["self_training_weight"].dump();
    options = base;
    options.insert(options.end(), {"--self-training-weight", weight});
    ASSERT_EQ(files.train("train_" + weight, options).exit_code, 0);
    const Json summary = json("train_" + weight + "/summary.json");
    EXPECT_EQ(run["step"], summary["model_step"]);
    EXPECT_EQ(run["validation"], summary["validation"]);
    between = between || (run["step"] > 0 && run["step"] < 4);
  }
  EXPECT_TRUE(between);
}

TEST_F(SweepProgram, TestPairsAreForTheSelectedModel) {
  const ProgramResult result =
      sweep("out", {"--vary", "divergence_weight=0,30", "--steps", "4", "--test-images",
                    path("test_images.npy"), "--test-texts", path("test_texts.npy")});
  EXPECT_CONTAINS(result.out, "30 test pairs, percent");
  const Json test = json("out/sweep.json")["test"];
  for (const auto& [name, projection] : {std::pair{"model", "heads"}, {"teacher", "teacher"}}) {
    const ProgramResult eval =
        run_program({"eval", "--model", path("out/model.safetensors"), "--projection", projection, "--images",
                     path("test_images.npy"), "--texts", path("test_texts.npy"), "--json", "-"});
    ASSERT_EQ(eval.exit_code, 0) << eval.err;
    Json found = Json::parse(eval.out);
    found.erase("intervals");
    EXPECT_EQ(test[name], found);
  }
}

TEST_F(SweepProgram, EqualsAreDecidedByOrder) {
  sweep("out", {"--vary", "affinity_memory=auto,stored", "--steps", "3"});
  const Json written = json("out/sweep.json");
  EXPECT_EQ(written["runs"][0]["validation"], written["runs"][1]["validation"]);
  EXPECT_EQ(written["selected"]["affinity_memory"], "auto");
  EXPECT_EQ(json("out/config.json")["affinity_memory"], "stored");  // what auto resolved to
}

// Options that a method declares follow the selected run, too. The first of equals is not the last one
// planned.
TEST_F(SweepProgram, DeclaredOptionsAreThoseOfTheSelectedRun) {
  sweep("out", {"--method", "sail", "--vary", "nnclr_neighbours=2,3", "--vary", "sclip_labels=hard,soft",
                "--steps", "2"});
  const Json selected = json("out/sweep.json")["selected"], config = json("out/config.json");
  EXPECT_EQ(selected, Json({{"nnclr_neighbours", 2}, {"sclip_labels", "hard"}}));
  EXPECT_EQ(config["nnclr_neighbours"], 2);
  EXPECT_EQ(config["sclip_labels"], "hard");
  EXPECT_EQ(json("out/sweep.json")["options"]["nnclr_neighbours"], 5);  // the base of the sweep
}

TEST_F(SweepProgram, StopAndResumeGiveTheSame) {
  const std::vector<std::string> options = {
      "--vary",        "divergence_weight=30,0,3", "--vary",       "teacher=cca,procrustes", "--steps", "4",
      "--test-images", path("test_images.npy"),    "--test-texts", path("test_texts.npy")};
  sweep("whole", options);
  std::vector<std::string> some = options;
  some.insert(some.end(), {"--stop-after-runs", "2"});
  const ProgramResult first = sweep("parts", some);
  EXPECT_CONTAINS(first.out, "stopped after 2 of 6 runs; to continue: sotalign sweep --out ");
  EXPECT_EQ(json("parts/sweep.json")["runs"].size(), 2u);
  EXPECT_FALSE(json("parts/sweep.json").contains("test"));
  EXPECT_TRUE(std::filesystem::exists(path("parts/model.safetensors")));
  // Once without its options, once with all of them.
  ProgramResult result = run_program({"sweep", "--out", path("parts"), "--resume", "--stop-after-runs", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "6 runs; 2 are done");
  EXPECT_EQ(json("parts/sweep.json")["runs"].size(), 3u);
  std::vector<std::string> all = options;
  all.push_back("--resume");
  sweep("parts", all);

  for (const char* name : {"/model.safetensors", "/sweep.svg"})
    EXPECT_SAME_FILES(path("whole") + name, path("parts") + name);
  EXPECT_EQ(json("whole/config.json"), json("parts/config.json"));
  EXPECT_EQ(lasting(json("whole/sweep.json")), lasting(json("parts/sweep.json")));
  auto whole = csv("whole"), parts = csv("parts");
  for (auto* rows : {&whole, &parts})
    for (auto& row : *rows) EXPECT_EQ(row.erase("seconds"), 1u);
  EXPECT_EQ(whole, parts);

  // Nothing is left to do: the result is shown again.
  const std::string before = read_file(path("parts/sweep.json"));
  result = run_program({"sweep", "--out", path("parts"), "--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "selected");
  EXPECT_CONTAINS(result.out, "30 test pairs");
  EXPECT_EQ(read_file(path("parts/sweep.json")), before);
}

TEST_F(SweepProgram, ResumeRefusesOtherOptions) {
  const std::vector<std::string> options = {"--vary", "divergence_weight=0,3", "--steps", "2"};
  std::vector<std::string> some = options;
  some.insert(some.end(), {"--stop-after-runs", "1"});
  sweep("out", some);
  const std::string before = read_file(path("out/sweep.json"));
  for (const auto& [more, parts] : std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>>{
           {{"--steps", "3"}, {"steps 2 as in this sweep, found 3"}},
           {{"--vary", "learning_rate=1,2"}, {"vary", "learning_rate=1,2"}},
           {{"--random", "2"}, {"random 0 as in this sweep, found 2"}},
           {{"--test-images", path("test_images.npy")}, {"test_images"}},
           {{"--images", path("val_images.npy")}, {"images", "val_images.npy"}}}) {
    std::vector<std::string> other = options;
    other.push_back("--resume");
    other.insert(other.end(), more.begin(), more.end());
    const ProgramResult result = files.command("sweep", "out", other);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_CONTAINS(result.err, path("out/sweep.json"));
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
  }
  EXPECT_EQ(run_program({"sweep", "--out", path("out"), "--resume", "--steps", "2"}).exit_code, 2);
  EXPECT_EQ(read_file(path("out/sweep.json")), before);
  expect_refused({"--vary", "divergence_weight=0,3", "--resume"},
                 {"expected a run to continue", "no sweep.json"});
  write_file(path("out/sweep.json"), "{\"runs\": []}");
  const ProgramResult broken = run_program({"sweep", "--out", path("out"), "--resume"});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_CONTAINS(broken.err, "expected a sweep.json with the key 'options'");
}

TEST_F(SweepProgram, InterruptedSweepCanBeResumed) {
  const ProgramResult result =
      files.command("sweep", "out", {"--vary", "steps=2,1000000", "--validate-every", "0"}, [&](pid_t child) {
        const auto begun = [&] {
          return read_file(path("out/sweep.csv")).find("\n1,2,") != std::string::npos;
        };
        for (int ms = 0; ms < 60000 && !begun(); ++ms) usleep(1000);
        kill(child, SIGINT);
      });
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_CONTAINS(result.out, "stopped after 1 of 2 runs; to continue: sotalign sweep --out ");
  EXPECT_EQ(json("out/sweep.json")["runs"].size(), 1u);
}

TEST_F(SweepProgram, RandomDrawsAreInRangeAndReproducible) {
  const auto draws = [&](const std::string& out, const std::string& count, const std::string& seed) {
    sweep(out, {"--random", count, "--range", "learning_rate=1e-6..1e-2:log", "--range",
                "divergence_weight=10..20", "--range", "batch_pairs=5..7", "--vary", "optimizer=lion,adamw",
                "--sweep-seed", seed, "--steps", "1", "--teacher", "procrustes"});
    Json settings = Json::array();
    const Json written = json(out + "/sweep.json");
    for (const Json& run : written["runs"]) settings.push_back(run["settings"]);
    return settings;
  };
  const Json all = draws("out", "24", "3");
  ASSERT_EQ(all.size(), 24u);
  int small = 0, light = 0;
  std::set<std::string> batches, optimizers;
  for (const Json& settings : all) {
    const double rate = settings["learning_rate"], weight = settings["divergence_weight"];
    EXPECT_TRUE(rate >= 1e-6 && rate <= 1e-2) << rate;
    EXPECT_TRUE(weight >= 10 && weight <= 20) << weight;
    small += rate < 1e-4 ? 1 : 0, light += weight < 15 ? 1 : 0;
    EXPECT_TRUE(settings["batch_pairs"].is_number_integer());
    batches.insert(settings["batch_pairs"].dump());
    optimizers.insert(settings["optimizer"]);
  }
  EXPECT_TRUE(small >= 5 && small <= 19) << small;  // linear draws would give about one in a hundred
  EXPECT_TRUE(light >= 5 && light <= 19) << light;
  EXPECT_EQ(batches, (std::set<std::string>{"5", "6", "7"}));
  EXPECT_EQ(optimizers.size(), 2u);
  const std::string plot = read_file(path("out/sweep.svg"));
  EXPECT_CONTAINS(plot, ">optimizer lion</text>");
  EXPECT_EQ(plot.find("<polyline"), plot.rfind("<polyline"));  // the teacher's line
  const Json fewer = draws("fewer", "4", "3"), others = draws("others", "4", "4");
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(fewer[i], all[i]);
  EXPECT_NE(fewer, others);
  // Repeated draws are not trained again.
  const ProgramResult repeats = sweep("repeats", {"--random", "9", "--vary", "seed=1,2", "--steps", "1"});
  EXPECT_EQ(json("repeats/sweep.json")["runs"].size(), 2u);
  EXPECT_CONTAINS(repeats.out, "2 runs (7 of 9 draws repeat others)");
}

TEST_F(SweepProgram, RunsThatFailAreRecorded) {
  const ProgramResult result =
      sweep("out", {"--vary", "learning_rate=1e38,1e-3", "--vary", "optimizer=adamw", "--steps", "4"});
  const Json written = json("out/sweep.json");
  ASSERT_EQ(written["runs"].size(), 2u);
  EXPECT_CONTAINS(written["runs"][0]["failure"].get<std::string>(), "the loss is");
  EXPECT_FALSE(written["runs"][0].contains("validation"));
  EXPECT_EQ(written["selected"], written["runs"][1]["settings"]);
  EXPECT_CONTAINS(result.out, "failed: ");
  ASSERT_EQ(csv("out").size(), 2u);
  EXPECT_EQ(csv("out")[0].at("failure"), written["runs"][0]["failure"].get<std::string>());
  EXPECT_EQ(csv("out")[0].at("mean_r1"), "");
  // A failure that appears only when the teacher is fitted, and a sweep in which every run fails.
  const ProgramResult none =
      files.command("sweep", "none", {"--vary", "dim=3,4", "--initialization", "teacher", "--steps", "2"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_CONTAINS(
      none.err,
      "none of the 2 runs succeeded; the first failed with: dim: heads that start from the teacher");
  EXPECT_EQ(json("none/sweep.json")["selected"], Json());
}

TEST_F(SweepProgram, ConfigurationIsTheBase) {
  write_file(path("c.json"),
             R"({"steps": 3, "log_every": 7, "learning_rate": 0.01, "quiet": true, "hidden": [5]})");
  EXPECT_EQ(sweep("out", {"--config", path("c.json"), "--learning-rate", "0.02", "--vary", "seed=0,1"}).out,
            "");
  const Json config = json("out/config.json");
  EXPECT_EQ(config["steps"], 3);
  EXPECT_EQ(config["log_every"], 7);
  EXPECT_EQ(config["learning_rate"], 0.02);
  EXPECT_EQ(config["hidden"], Json({5}));
  EXPECT_FALSE(config.contains("out"));
  EXPECT_EQ(json("out/sweep.json")["options"]["learning_rate"], 0.02);
}

TEST_F(SweepProgram, PlotsShowWhatVaries) {
  sweep("one", {"--vary", "divergence_weight=0,3,30,100", "--steps", "1"});
  const std::string one = read_file(path("one/sweep.svg"));
  for (const char* part : {">0</text>", ">3</text>", ">30</text>", ">100</text>", ">divergence_weight</text>",
                           ">model</text>", ">teacher</text>"})
    EXPECT_CONTAINS(one, part);
  sweep("two", {"--vary", "divergence=klot,cka", "--vary", "divergence_weight=1,2", "--steps", "1"});
  const std::string two = read_file(path("two/sweep.svg"));
  for (const char* part :
       {">divergence klot</text>", ">divergence cka</text>", ">1.0</text>", ">divergence_weight</text>"})
    EXPECT_CONTAINS(two, part);
  sweep("words", {"--vary", "divergence=klot,cka", "--steps", "1"});
  EXPECT_CONTAINS(read_file(path("words/sweep.svg")), ">cka</text>");
  sweep("three", {"--vary", "divergence=klot,cka", "--vary", "divergence_weight=1,2", "--vary", "seed=0,1",
                  "--steps", "1"});
  EXPECT_CONTAINS(read_file(path("three/sweep.svg")), ">best model</text>");
}

TEST_F(SweepProgram, BadInputIsRefusedBeforeAnythingIsDone) {
  expect_refused({}, {"--vary", "found none"});
  expect_refused({"--vary", "divergence_weight=1,2", "--out", path("val_images.npy")},
                 {"expected a directory"});
  const std::vector<std::pair<std::string, std::string>> values = {
      {"divergence_wieght=1,2",
       "unknown key \"divergence_wieght\"; the nearest known key is 'divergence_weight'"},
      {"divergence_weight", "expected KEY=V1,V2"},
      {"divergence_weight=", "expected KEY=V1,V2"},
      {"=3", "expected KEY=V1,V2"},
      {"divergence_weight=1,,2", "found none"},
      {"divergence_weight=1,1.0", "1 is given twice"},
      {"divergence_weight=1,many", "divergence_weight: expected a finite number, found \"many\""},
      {"divergence_weight=1,-1", "divergence_weight -1: divergence_weight: expected a number >= 0"},
      {"steps=1.5", "expected an integer"},
      {"steps=10,0", "steps 0: steps: expected at least 1"},
      {"divergence=klot,kl", "divergence: expected klot or infonce or cka"},
      {"hidden=8,9", "hidden: expected a list of integers"},
      {"hidden=[8],[0]", "hidden [0]: image_head: layer 0"},
      {"beta1=0.5,1", "beta1"},
      {"epsilon_student=0.1,0", "--epsilon-student"},
      {"iterations=0", "iterations"},
      {"relaxation=1,2", "relaxation"},
      {"ridge=auto,-1", "ridge -1: ridge"},
      {"teacher_dim=9,10", "teacher_dim 10: dim"},
      {"warmup_steps=0,100", "warmup_steps 100: schedule"},
      {"batch_pairs=0", "batch_pairs"},
      {"validate_every=-1", "validate_every"},
      {"dim=-1", "dim -1"},
      {"learning_rate=nan", "learning_rate"},
      {"device=cpu,cuda", "device is not a training option"},
      {"images=a.npy,b.npy", "images is not a training option"}};
  for (const auto& [value, part] : values) {
    SCOPED_TRACE(value);
    expect_refused({"--vary", value}, {part});
  }
  expect_refused({"--vary", "teacher=cca,contrastive", "--teacher-steps", "0"},
                 {"teacher contrastive: teacher steps"});
  expect_refused({"--vary", "initialization=teacher", "--hidden", "8"}, {"initialization"});
  expect_refused({"--vary", "divergence=klot,cka", "--affinity-memory", "fixed16"},
                 {"divergence cka: affinity_memory"});
  const std::vector<std::string> vary = {"--vary", "divergence_weight=1,2"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> options = vary;
    options.insert(options.end(), more.begin(), more.end());
    return options;
  };
  expect_refused(with({"--vary", "divergence_weight=3"}), {"divergence_weight is given twice"});
  expect_refused(with({"--divergence-weight", "3"}),
                 {"--divergence-weight: expected no single value, as the sweep varies divergence_weight"});
  expect_refused(with({"--vary", "seed=" +
                                     [] {
                                       std::string list = "0";
                                       for (int i = 1; i < 5001; ++i) list += "," + std::to_string(i);
                                       return list;
                                     }()}),
                 {"at most 10000 runs, found 10002"});
  expect_refused(with({"--random", "-1"}), {"--random", "at least 0"});
  expect_refused(with({"--range", "learning_rate=1..2"}), {"--range: expected --random"});
  expect_refused(with({"--sweep-seed", "1"}), {"--sweep-seed: expected --random"});
  expect_refused(with({"--stop-after-runs", "-1"}), {"stop_after_runs"});
  expect_refused(with({"--checkpoint-every", "5"}), {"--checkpoint-every"});
  expect_refused(with({"--log-every", "5"}), {"--log-every"});
  expect_refused(with({"--val-images", ""}), {"--val-images"});
  expect_refused(with({"--images", ""}), {"--images"});
  expect_refused(with({"--test-images", path("test_images.npy")}), {"--test-texts"});
  expect_refused(with({"--test-images", path("test_images.npy"), "--test-texts", path("val_texts.npy")}),
                 {"test_images.npy", "found 30 and 20"});
  expect_refused(with({"--test-images", path("test_texts.npy"), "--test-texts", path("test_texts.npy")}),
                 {"expected 12 columns", "found 9"});
  for (const std::string range :
       {"learning_rate", "learning_rate=1", "learning_rate=1..", "learning_rate=2..1", "learning_rate=1..1",
        "learning_rate=a..b", "learning_rate=1..2:lin", "learning_rate=0..1:log", "steps=1..2.5",
        "divergence=1..2", "divergence_weight=1..2", "device=0..1", "rate=1..2"}) {
    SCOPED_TRACE(range);
    expect_refused(with({"--random", "3", "--range", range}), {"--range"});
  }
}

}  // namespace program_sweep_test
}  // namespace sotalign::testing
