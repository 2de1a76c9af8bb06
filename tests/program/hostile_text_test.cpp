// Hostile text, numbers and rows, through the program: one line that names file, key, row or option; exit
// code 2; no crash, no hang, nothing left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_hostile_text_test {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

class HostileText : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }

  static void check(const ProgramResult& result, const std::vector<std::string>& parts) {
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_LT(result.err.size(), 1000u);
    EXPECT_EQ(result.err.find("json.exception"), std::string::npos);
    EXPECT_EQ(result.err.find("-nan"), std::string::npos);
    EXPECT_EQ(result.err.find("std::"), std::string::npos);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    check(run_program(arguments), parts);
  }
  void expect_train_refused(const std::vector<std::string>& options, const std::vector<std::string>& parts) {
    std::vector<std::string> all = {"--steps", "2"};
    all.insert(all.end(), options.begin(), options.end());
    check(files.train("refused", all), parts);
    EXPECT_FALSE(fs::exists(path("refused")));
  }
  void expect_config_refused(const std::string& text, const std::vector<std::string>& parts) {
    write_file(path("c.json"), text);
    std::vector<std::string> named = parts;
    named.push_back(path("c.json"));
    expect_train_refused({"--config", path("c.json")}, named);
  }

  void write_matrix(const std::string& name, int64_t rows, int64_t cols,
                    const std::vector<float>& values) const {
    write_npy(files / name, ConstMatrixF(values.data(), rows, cols));
  }
  Json json_of(const std::string& name) const { return Json::parse(read_file(path(name))); }

  TrainingFiles files;
};

/// Damages the results of a finished sweep or study, OUT/COMMAND.json with OUT equal to COMMAND.
class HostileResults : public HostileText {
 protected:
  void start(const std::string& command) {
    command_ = command;
    text_ = read_file(file());
  }
  std::string file() const { return path(command_ + "/" + command_ + ".json"); }
  const std::string& text() const { return text_; }
  std::vector<std::string> resume() const { return {command_, "--out", path(command_), "--resume"}; }

  void refused(const std::string& damaged, const std::vector<std::string>& parts) {
    write_file(file(), damaged);
    std::vector<std::string> named = parts;
    named.push_back(file());
    expect_refused(resume(), named);
  }
  void changed(const std::function<void(Json&)>& change, const std::vector<std::string>& parts) {
    Json json = Json::parse(text_);
    json.erase("checksum");  // as sotalign 0.1 wrote it; with a checksum the change would be found first
    change(json);
    refused(json.dump(), parts);
  }
  void expect_resumed() {
    write_file(file(), text_);
    EXPECT_EQ(run_program(resume()).exit_code, 0);
  }

 private:
  std::string command_, text_;
};

TEST_F(HostileText, ConfigurationsThatAreNoOrdinaryFiles) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  fs::create_directory(path("directory"));
  write_file(path("huge.json"), "");
  fs::resize_file(path("huge.json"), uintmax_t{1} << 40);
  const std::vector<std::pair<std::string, std::string>> cases = {{path("fifo"), "pipe"},
                                                                  {"/dev/zero", "device"},
                                                                  {path("directory"), "directory"},
                                                                  {path("huge.json"), "64 MiB"},
                                                                  {path("absent"), "No such file"}};
  for (const auto& [file, what] : cases) {
    expect_train_refused({"--config", file}, {file, what});
    expect_refused({"study", "--images", path("images.npy"), "--texts", path("images.npy"), "--plan", file,
                    "--out", path("study")},
                   {file, what});
  }
  expect_refused({"info", path("fifo")}, {path("fifo"), "pipe"});
  expect_refused({"info", path("directory")}, {path("directory"), "directory"});
  for (const char* flag : {"--labels", "--prompts", "--prompt-classes"}) {
    std::vector<std::string> arguments = {"zeroshot",   "--images",  path("images.npy"), "--labels",
                                          path("fifo"), "--prompts", path("images.npy"), "--prompt-classes",
                                          path("fifo"), flag,        path("fifo")};
    expect_refused(arguments, {path("fifo"), "pipe"});
  }
}

TEST_F(HostileText, Configurations) {
  std::string deep(100000, '['), key(1 << 20, 'x');
  expect_config_refused(deep, {"at most 32 levels"});
  expect_config_refused("{\"steps\": " + deep + std::string(100000, ']') + "}", {"at most 32 levels"});
  expect_config_refused(R"({"steps": 1, "seed": 1, "steps": 2})", {"'steps' twice"});
  expect_config_refused("{\"steps\": 1}\xff", {"line 1", "syntax error"});
  expect_config_refused(std::string("{}\0{}", 5), {"syntax error at byte 2"});
  expect_config_refused(R"({"images": "x\u0000.npy"})", {"images", "without NUL"});
  expect_config_refused("{\"" + key + "\": 1}", {"unknown key \"xxx", "xxx...\n"});
  expect_config_refused(R"({"divergence_weight": 1e999})", {"double precision"});
  std::string accents = R"({"device": [")";
  for (int i = 0; i < 200; ++i) accents += "é";
  for (const std::string shift : {"", "a", "ab"}) {
    write_file(path("c.json"), accents.substr(0, 13) + shift + accents.substr(13) + "\"]}");
    const ProgramResult result = files.train("refused", {"--config", path("c.json")});
    check(result, {"device", "..."});
    EXPECT_NO_THROW(static_cast<void>(Json(result.err).dump())) << "cut inside a character: " << result.err;
  }
}

TEST_F(HostileText, MetricsOfARunThatIsContinued) {
  ASSERT_EQ(
      files.train("run", {"--steps", "6", "--log-every", "1", "--checkpoint-every", "2", "--stop-after", "4"})
          .exit_code,
      0);
  const std::string metrics = read_file(path("run/metrics.jsonl"));
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    write_file(path("run/metrics.jsonl"), text);
    std::vector<std::string> named = parts;
    named.push_back("metrics.jsonl");
    expect_refused({"train", "--out", path("run"), "--resume"}, named);
  };
  refused("{\"step\": 1, \"step\": 1}\n" + metrics, {"line 1", "other text"});
  refused("{\"step\": 1\n" + metrics, {"line 1", "other text"});
  refused("[1]\n" + metrics, {"line 1", "JSON object"});
  refused("{\"step\": \"1\", \"seconds\": 1}\n" + metrics, {"line 1: step", "integer"});
  refused("{\"step\": 1, \"seconds\": \"x\"}\n" + metrics, {"line 1: seconds", "number"});
  refused("{\"seconds\": 1}\n" + metrics, {"line 1", "'step'"});
  fs::remove(path("run/metrics.jsonl"));
  ASSERT_EQ(mkfifo(path("run/metrics.jsonl").c_str(), 0600), 0);
  expect_refused({"train", "--out", path("run"), "--resume"}, {"metrics.jsonl", "pipe"});
  fs::remove(path("run/metrics.jsonl"));
  // A partial line, as a kill may leave it.
  write_file(path("run/metrics.jsonl"), metrics + "{\"step\": 5, \"lo");
  const ProgramResult resumed = run_program({"train", "--out", path("run"), "--resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(read_file(path("run/metrics.jsonl")).starts_with(metrics));
}

TEST_F(HostileResults, DamagedSweeps) {
  const std::vector<std::string> options = {"--steps",
                                            "2",
                                            "--vary",
                                            "divergence_weight=1,3",
                                            "--quiet",
                                            "--test-images",
                                            path("val_images.npy"),
                                            "--test-texts",
                                            path("val_texts.npy")};
  ASSERT_EQ(files.command("sweep", "sweep", options).exit_code, 0);
  start("sweep");
  refused(text().substr(0, text().size() / 2), {"syntax error"});
  refused("", {"line 1"});
  refused("{\"runs\": [], " + text().substr(1), {"'runs' twice"});
  for (const char* key : {"options", "runs"}) {
    changed([&](Json& j) { j.erase(key); }, {key, "found none"});
    changed([&](Json& j) { j[key] = 3; }, {key, "found 3"});
  }
  for (const char* key : {"settings", "step", "validation", "validation_teacher", "seconds"}) {
    changed([&](Json& j) { j["runs"][0].erase(key); }, {key, "found none"});
    changed([&](Json& j) { j["runs"][0][key] = "x"; }, {"entry 0", key, "\"x\""});
  }
  for (const char* key : {"vary", "range", "random", "sweep_seed", "test_images", "test_texts", "steps"}) {
    changed([&](Json& j) { j["options"].erase(key); }, {key, "found none"});
    changed([&](Json& j) { j["options"][key] = 1.5; }, {key, "found 1.5"});
  }
  changed([](Json& j) { j["runs"][0]["settings"] = {{"divergence_weight", 9.0}}; }, {"settings", "9.0"});
  changed([](Json& j) { j["runs"].push_back(j["runs"][0]); }, {"entry 2", "each once"});
  changed([](Json& j) { j["runs"][1]["validation"]["image_to_text"]["r1"] = 7; },
          {"r1", "0 to 1", "found 7"});
  changed([](Json& j) { j["test"].erase("model"); }, {"test", "'model'"});
  expect_resumed();
}

TEST_F(HostileResults, DamagedStudies) {
  write_file(path("plan.json"),
             R"({"set": {"steps": 2}, "methods": [{"name": "SAIL", "set": {"method": "sail"}}],
    "sections": {"shift": {"pairs": 10, "method": "SAIL", "without": "SAIL", "pools": ["same"]}}})");
  files.write("study_texts.npy", TrainingFiles::kImages, TrainingFiles::kTextDim, 2, 7);
  ASSERT_EQ(run_program({"study", "--images", path("images.npy"), "--texts", path("study_texts.npy"),
                         "--test", "10", "--validation", "10", "--plan", path("plan.json"), "--sections",
                         "shift", "--seeds", "0", "--out", path("study"), "--quiet"})
                .exit_code,
            0);
  start("study");
  refused(text().substr(0, text().size() / 2), {"syntax error"});
  refused("[]", {"runs of a study"});
  changed([](Json& j) { j.erase("runs"); }, {"runs of a study"});
  changed([](Json& j) { j["runs"] = 3; }, {"runs of a study"});
  changed([](Json& j) { j["runs"].push_back(3); }, {"runs", "found 3"});
  changed([](Json& j) { j["runs"].push_back(j["runs"][0]); }, {"runs that differ"});
  for (const char* key : {"section", "method", "point", "key", "figures", "seconds"}) {
    changed([&](Json& j) { j["runs"][0].erase(key); }, {"entry 0", key, "found none"});
    changed([&](Json& j) { j["runs"][0][key] = 3.5e300; }, {"entry 0", key, "3.5e+300"});
  }
  for (const char* key : {"setting", "measured", "pairs", "unpaired", "seed", "role"})
    changed([&](Json& j) { j["runs"][0]["key"].erase(key); }, {"entry 0", key, "found none"});
  changed([](Json& j) { j["fingerprint"] = std::string(59, 'x') + "éé"; }, {"fingerprint", "..."});
  expect_resumed();
}

TEST_F(HostileText, PathsThatAreNotUtf8) {
  const std::string bad = "x\xff.npy";
  fs::copy_file(path("images.npy"), path(bad));
  expect_train_refused({"--images", path(bad)}, {"--images", "UTF-8"});
  check(files.train("run\xff", {"--steps", "2"}), {"--out", "UTF-8"});
  check(files.command("sweep", "refused", {"--vary", "divergence_weight=1", "--images", path(bad)}),
        {"--images", "UTF-8"});
  check(files.command("sweep", "refused", {"--vary", "divergence_weight=1", "--test-images", path(bad)}),
        {"--test-images", "UTF-8"});
  expect_refused({"study", "--images", path(bad), "--texts", path(bad), "--out", path("refused")},
                 {"--images", "UTF-8"});
  expect_refused({"compare", "--images", path(bad), "--texts", path(bad), "--json", path("c.json")},
                 {"--images", "UTF-8"});
  EXPECT_EQ(run_program({"eval", "--images", path(bad), "--texts", path(bad), "--json", path("e\xff.json")})
                .exit_code,
            0);
  EXPECT_EQ(run_program({"info", path(bad)}).exit_code, 0);
}

TEST_F(HostileText, AbsurdNumbers) {
  const std::string most = "9223372036854775807";
  std::string many = "2";
  for (int i = 0; i < 50000; ++i) many += ",2";
  for (const char* option : {"hidden", "dim", "iterations", "steps"})
    for (const std::string& value : {most, std::string("4611686018427387904")})
      expect_train_refused({std::string("--") + option, value}, {option, "at most"});
  expect_train_refused({"--hidden", many}, {"hidden", "at most 64"});
  expect_train_refused({"--hidden", "3,1099511627776"}, {"hidden", "at most"});
  expect_train_refused({"--teacher", "contrastive", "--teacher-dim", most}, {"teacher-dim", "at most"});
  expect_train_refused({"--teacher", "contrastive", "--teacher-steps", most}, {"teacher-steps", "at most"});
  expect_config_refused("{\"dim\": " + most + "}", {"dim", "at most"});
  expect_config_refused("{\"steps\": 1, \"hidden\": [" + many + "]}", {"hidden", "at most 64"});
  expect_refused({"shift", "--images", path("images.npy"), "--other-images", path("images.npy"),
                  "--projections", "1000000000000000000"},
                 {"--projections", "at most"});
  expect_refused({"klot", "--student", path("images.npy"), "--teacher", path("images.npy"), "--repeat", most},
                 {"--repeat", "at most"});
  for (const char* flag : {"--pairs", "--test", "--validation"})
    expect_refused({"compare", "--images", path("images.npy"), "--texts", path("images.npy"), "--pairs", "5",
                    "--test", "5", flag, most},
                   {"rows"});
  for (const char* flag : {"--test", "--validation"})
    expect_refused({"study", "--images", path("images.npy"), "--texts", path("images.npy"), "--out",
                    path("refused"), "--test", "5", "--validation", "5", flag, most},
                   {std::string(flag).substr(2), "60"});
  expect_refused({"compare", "--images", path("images.npy"), "--texts", path("images.npy"), "--pairs", "5",
                  "--test", "5", "--seeds", many},
                 {"seeds", "at most 1000"});
  check(files.command("sweep", "refused", {"--random", most, "--range", "divergence_weight=0..1"}),
        {"--random", "at most 10000"});
  check(files.command("sweep", "refused", {"--random", "5", "--range", "correlation_power=-1e308..1e308"}),
        {"--range", "correlation_power"});
  for (const std::string& value :
       {std::string("-1"), std::string("18446744073709551616"), std::string("1.5")})
    check(files.command("sweep", "refused",
                        {"--random", "5", "--range", "divergence_weight=0..1", "--sweep-seed", value}),
          {"--sweep-seed", "'" + value + "'"});
  for (const char* flag : {"--random", "--stop-after-runs"})
    check(files.command("sweep", "refused", {"--vary", "divergence_weight=1", flag, "99999999999999999999"}),
          {flag, "an integer"});
  expect_train_refused({"--stop-after", "99999999999999999999"}, {"--stop-after", "an integer"});
  check(files.command("sweep", "refused", {"--vary", "hidden=" + std::string(50000, '[')}),
        {"--vary", "hidden"});
  EXPECT_FALSE(fs::exists(path("refused")));
}

TEST_F(HostileText, EveryCommandRefusesTheSameRows) {
  const std::string good = path("pairs_images.npy");
  files.write("more_images.npy", 40, TrainingFiles::kImageDim, 1, 9);
  ASSERT_EQ(files.train("run", {"--steps", "1"}).exit_code, 0);
  for (const float scale : {0.0f, 1e-30f, 1e-45f, 1e38f, 3e38f}) {
    std::vector<float> values = random_normal(40 * 12, 3);
    for (int64_t j = 0; j < 12; ++j) values[static_cast<size_t>(23 * 12 + j)] = scale;
    write_matrix("bad.npy", 40, 12, values);
    const std::string bad = path("bad.npy");
    const std::vector<std::string> parts = {bad, "row 23"};
    for (const char* flag : {"--pairs-images", "--images", "--val-images"})
      expect_train_refused({flag, bad}, parts);
    expect_refused({"eval", "--images", bad, "--texts", good}, parts);
    expect_refused({"similarity", "--x", good, "--y", bad}, parts);
    expect_refused({"shift", "--images", good, "--other-images", bad}, parts);
    expect_refused({"compare", "--images", bad, "--texts", good, "--pairs", "5", "--test", "5"}, parts);
    expect_refused({"embed", "--model", path("run/model.safetensors"), "--side", "image", "--input", bad,
                    "--output", path("y.npy")},
                   parts);
    EXPECT_FALSE(fs::exists(path("y.npy")));
  }
}

TEST_F(HostileText, RowsThatAreAllEqual) {
  std::vector<float> values;
  for (int i = 0; i < 40; ++i) values.insert(values.end(), {1, 2, 3, 4, 5, 6, 7, 8, 9});
  write_matrix("equal.npy", 40, 9, values);
  const std::string equal = path("equal.npy"), other = path("pairs_images.npy");
  const std::vector<std::string> parts = {equal, "rows that differ", "40 equal ones"};
  expect_train_refused({"--pairs-texts", equal}, parts);
  expect_refused({"teacher", "--pairs-images", other, "--pairs-texts", equal, "--out", path("t.safetensors")},
                 parts);
  expect_refused({"similarity", "--x", other, "--y", equal}, parts);
  expect_refused({"compare", "--images", other, "--texts", equal, "--pairs", "5", "--test", "5"}, parts);
  check(files.command("sweep", "refused", {"--vary", "divergence_weight=1", "--pairs-texts", equal}), parts);
  // The rows differ, but are equal once scaled to length 1. The mean of all rows is exactly 0.
  std::vector<float> line(40 * 9), opposite(50 * 9);
  for (size_t i = 0; i < 40; ++i) line[i * 9] = i % 2 == 0 ? 1 : 2;
  for (size_t i = 0; i < 50; ++i) opposite[i * 9] = i == 0 ? -11 : -1;
  write_matrix("line.npy", 40, 9, line);
  write_matrix("opposite.npy", 50, 9, opposite);
  expect_train_refused({"--pairs-texts", path("line.npy"), "--texts", path("opposite.npy")},
                       {path("line.npy"), "rows that differ"});
}

TEST_F(HostileText, RowsWithoutADirectionInTheModel) {
  // Rows i and i + 20 are opposite about a centre, which is therefore the mean; the teacher maps it to 0.
  std::vector<float> images(40 * 12), texts(40 * 9);
  for (size_t i = 0; i < 40; ++i) {
    const float sign = i < 20 ? 1.0f : -1.0f;
    images[i * 12 + i % 20 % 12] = sign * 4, texts[i * 9 + i % 20 % 9] = sign * 4;
    images[i * 12 + 5] += 2, texts[i * 9 + 5] += 2;
  }
  write_matrix("pi.npy", 40, 12, images);
  write_matrix("pt.npy", 40, 9, texts);
  ASSERT_EQ(run_program({"teacher", "--pairs-images", path("pi.npy"), "--pairs-texts", path("pt.npy"),
                         "--out", path("t.safetensors")})
                .exit_code,
            0);
  std::vector<float> rows(images.begin(), images.begin() + 36);
  for (size_t j = 0; j < 12; ++j) rows[12 + j] = j == 5 ? 2 : 0;
  write_matrix("with_mean.npy", 3, 12, rows);
  write_matrix("three_texts.npy", 3, 9, {texts.begin(), texts.begin() + 27});
  const std::vector<std::string> parts = {path("with_mean.npy"), "row 1", "zero"};
  const std::vector<std::string> model = {"--model", path("t.safetensors"), "--projection", "teacher"};
  const auto refused = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), model.begin(), model.end());
    expect_refused(arguments, parts);
  };
  refused({"embed", "--side", "image", "--input", path("with_mean.npy"), "--output", path("y.npy")});
  refused({"eval", "--images", path("with_mean.npy"), "--texts", path("three_texts.npy")});
  write_npy(path("labels.npy"), std::vector<int64_t>{1, 2, 3});
  refused({"zeroshot", "--images", path("with_mean.npy"), "--labels", path("labels.npy"), "--prompts",
           path("three_texts.npy"), "--prompt-classes", path("labels.npy")});
  EXPECT_FALSE(fs::exists(path("y.npy")));
}

TEST_F(HostileText, TheLearningRateIsNotBlamedForTheInitialWeights) {
  const ProgramResult ridge = files.train("ridge", {"--steps", "20", "--ridge", "1e300"});
  if (ridge.exit_code != 0) {
    check(ridge, {});
    EXPECT_EQ(ridge.err.find("learning rate;"), std::string::npos);
    EXPECT_EQ(ridge.err.find("smaller learning rate"), std::string::npos) << ridge.err;
  }
  const ProgramResult rate = files.train("rate", {"--steps", "20", "--learning-rate", "1e30"});
  EXPECT_EQ(rate.exit_code, 2);
  EXPECT_CONTAINS(rate.err, "try a smaller learning rate");
  EXPECT_EQ(rate.err.find("-nan"), std::string::npos) << rate.err;
}

}  // namespace program_hostile_text_test
}  // namespace sotalign::testing
