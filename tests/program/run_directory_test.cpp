// The output directory of a run: one process at a time, a state to continue from after every kill, no foreign
// files overwritten.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program_data.h"
#include "support/shell.h"

namespace sotalign::testing {
namespace program_run_directory_test {

namespace fs = std::filesystem;

class RunDirectoryProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }

  ProgramResult resume(const std::string& command, const std::string& out,
                       const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {command, "--out", path(out), "--resume"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  static void expect_refused(const ProgramResult& result, const std::vector<std::string>& parts) {
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
  }
  std::vector<std::string> study(const std::string& out) const {
    write_file(path("plan.json"), R"({"set": {"steps": 2}, "methods": [
      {"name": "SAIL", "set": {"divergence_weight": 0}}, {"name": "SOTAlign", "set": {"divergence_weight": 3}}],
      "sections": {"methods": {"pairs": [10, 20], "methods": ["SAIL", "SOTAlign"], "proposed": ["SOTAlign"],
                               "worth": {"method": "SAIL", "times": [2]}}}})");
    return {"study",
            "--images",
            path("pairs_images.npy"),
            "--texts",
            path("pairs_texts.npy"),
            "--test",
            "10",
            "--validation",
            "5",
            "--plan",
            path("plan.json"),
            "--sections",
            "methods",
            "--seeds",
            "0",
            "--out",
            path(out)};
  }

  const TrainingFiles files;
};

const std::vector<std::string> kSteps = {"--steps", "20", "--log-every", "1", "--checkpoint-every", "5"};

TEST_F(RunDirectoryProgram, OneProcessAtATime) {
  std::vector<ProgramResult> others;
  const ProgramResult first = files.train(
      "run", {"--steps", "100000000", "--validate-every", "0", "--log-every", "1"}, [&](pid_t child) {
        for (int ms = 0; ms < 60000 && read_file(path("run/metrics.jsonl")).empty(); ++ms) usleep(1000);
        others.push_back(files.train("run", {"--steps", "2"}));
        others.push_back(resume("train", "run"));
        others.push_back(files.command("sweep", "run", {"--vary", "divergence_weight=0,3", "--steps", "2"}));
        others.push_back(run_program(study("run")));
        others.push_back(run_program({"demo", "--out", path("run")}));
        kill(child, SIGTERM);
      });
  EXPECT_EQ(first.exit_code, 130) << first.err;
  for (const ProgramResult& other : others) {
    expect_refused(other, {path("run"), "another sotalign process is using this directory"});
    EXPECT_EQ(other.out, "");
  }
  EXPECT_EQ(files.train("run2", {"--steps", "2"}).exit_code, 0);
}

TEST_F(RunDirectoryProgram, IsLockedBeforeDataIsRead) {
  // The second process finds an empty directory, which it could use if the first did not hold the lock.
  ProgramResult other;
  const ProgramResult first =
      files.train("run", {"--teacher", "contrastive", "--teacher-steps", "100000000"}, [&](pid_t child) {
        for (int ms = 0; ms < 60000 && !fs::exists(path("run")); ++ms) usleep(1000);
        usleep(100000);
        other = files.train("run", {"--steps", "2"});
        kill(child, SIGTERM);
      });
  expect_refused(other, {"another sotalign process is using this directory"});
  EXPECT_EQ(first.exit_code, 130);
}

TEST_F(RunDirectoryProgram, TakesAnEmptyDirectoryAndNoOther) {
  fs::create_directory(path("empty"));
  fs::create_directory_symlink(path("empty"), path("link"));
  EXPECT_EQ(files.train("link/", {"--steps", "2"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(path("empty/model.safetensors")));
  expect_refused(files.train("empty", {"--steps", "2"}), {"found", "sotalign train --out", "--resume"});
  fs::create_directory(path("other"));
  write_file(path("other/notes.txt"), "mine");
  expect_refused(files.train("other", {"--steps", "2"}), {"notes.txt"});
  EXPECT_EQ(read_file(path("other/notes.txt")), "mine");
}

TEST_F(RunDirectoryProgram, NothingIsLeftOfWhatDidNotBegin) {
  const int64_t before = files.entries();
  for (const char* out : {"a/b/c", "a", "a/", "./a/../a/b"}) {
    expect_refused(files.train(out, {"--images", path("nowhere.npy")}), {"nowhere.npy"});
    EXPECT_EQ(files.entries(), before) << out;
  }
  expect_refused(files.train("a/b/c", {"--teacher-dim", "100"}), {"100"});
  EXPECT_EQ(files.entries(), before);
  fs::create_directory(path("mine"));
  expect_refused(files.train("mine/run", {"--images", path("nowhere.npy")}), {"nowhere.npy"});
  EXPECT_TRUE(fs::is_empty(path("mine")));
}

TEST_F(RunDirectoryProgram, TrainingGoesOnAfterAKillBeforeTheFirstCheckpoint) {
  ASSERT_EQ(files.train("whole", kSteps).exit_code, 0);
  const auto only = [&](const std::string& run, const std::vector<std::string>& names) {
    fs::create_directory(path(run));
    for (const std::string& name : names) fs::copy_file(path("whole/" + name), path(run + "/" + name));
  };
  only("config", {"config.json"});
  expect_refused(files.train("config", kSteps), {"config.json", "sotalign train --out", "--resume"});
  only("metrics", {"config.json", "metrics.jsonl"});
  // When a checkpoint is due, the step's metrics line is written before it.
  std::string lines = read_file(path("whole/metrics.jsonl"));
  lines.resize(lines.find("{\"type\":\"step\",\"step\":6"));
  write_file(path("metrics/metrics.jsonl"), lines + "{\"st");
  for (const char* run : {"config", "metrics"}) {
    // This process may save at other intervals.
    const ProgramResult result = resume("train", run, {"--checkpoint-every", "1"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_CONTAINS(result.out, "no checkpoint was saved; starting at step 0");
    for (const char* name : {"/model.safetensors", "/checkpoint.safetensors"})
      EXPECT_EQ(read_file(path("whole") + name), read_file(path(run) + name));
    const std::string metrics = read_file(path(run) + "/metrics.jsonl");
    EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 22);  // 20 steps and 2 validations
  }
}

TEST_F(RunDirectoryProgram, ACheckpointThatIsGoneIsMissed) {
  ASSERT_EQ(files.train("run", kSteps).exit_code, 0);
  fs::remove(path("run/checkpoint.safetensors"));
  expect_refused(resume("train", "run"), {path("run/checkpoint.safetensors"), "a model"});
  fs::remove(path("run/model.safetensors"));
  const std::string before = read_file(path("run/metrics.jsonl"));
  expect_refused(resume("train", "run"), {path("run/checkpoint.safetensors"), "every 5 steps"});
  EXPECT_EQ(read_file(path("run/metrics.jsonl")), before);
  expect_refused(resume("train", "nowhere"), {"nowhere", "config.json"});
  EXPECT_FALSE(fs::exists(path("nowhere")));
}

TEST_F(RunDirectoryProgram, SweepAndStudyGoOnAfterAKillBeforeTheirFirstRun) {
  const std::vector<std::string> options = {"--vary", "divergence_weight=0,3", "--steps", "2"};
  ASSERT_EQ(files.command("sweep", "whole", options).exit_code, 0);
  std::vector<std::string> some = options;
  some.insert(some.end(), {"--stop-after-runs", "1"});
  ASSERT_EQ(files.command("sweep", "parts", some).exit_code, 0);
  nlohmann::ordered_json none = nlohmann::ordered_json::parse(read_file(path("parts/sweep.json")));
  none["runs"] = nlohmann::ordered_json::array();
  none["selected"] = nullptr;
  none.erase("checksum");
  fs::remove_all(path("parts"));
  fs::create_directory(path("parts"));
  write_file(path("parts/sweep.json"), none.dump());
  expect_refused(files.command("sweep", "parts", options), {"sotalign sweep --out", "--resume"});
  ASSERT_EQ(resume("sweep", "parts").exit_code, 0);
  EXPECT_EQ(read_file(path("whole/model.safetensors")), read_file(path("parts/model.safetensors")));
  expect_refused(resume("sweep", "nowhere"), {"nowhere", "sweep.json"});

  ASSERT_EQ(run_program(study("study")).exit_code, 0);
  for (const std::vector<const char*>& names :
       std::vector<std::vector<const char*>>{{"config.json"}, {"config.json", "plan.json"}}) {
    fs::remove_all(path("again"));
    fs::create_directory(path("again"));
    for (const char* name : names) fs::copy_file(path("study/") + name, path("again/") + name);
    expect_refused(run_program(study("again")), {"sotalign study --out", "--resume"});
    const ProgramResult result = resume("study", "again");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_CONTAINS(result.out, "no run was saved");
    EXPECT_TRUE(fs::exists(path("again/study.md")));
  }
  fs::remove(path("study/study.json"));
  expect_refused(resume("study", "study"), {"study.json", "study.md"});
}

TEST_F(RunDirectoryProgram, KillsAtAnyTimeLoseNothing) {
  ASSERT_EQ(files.train("whole", kSteps).exit_code, 0);
  const std::string model = read_file(path("whole/model.safetensors"));
  for (int delay = 0; delay < 60; delay += 4) {
    fs::remove_all(path("run"));
    const auto kill_soon = [&](pid_t child) {
      usleep(static_cast<useconds_t>(1000 * delay));
      kill(child, SIGKILL);
    };
    files.train("run", kSteps, kill_soon);
    const bool begun = fs::exists(path("run/config.json"));
    const ProgramResult result = begun ? resume("train", "run") : files.train("run", kSteps);
    ASSERT_EQ(result.exit_code, 0) << "killed after " << delay << " ms: " << result.err;
    EXPECT_EQ(read_file(path("run/model.safetensors")), model);
    for (const auto& entry : fs::directory_iterator(path("run"))) EXPECT_NE(entry.path().extension(), ".tmp");
  }
}

TEST_F(RunDirectoryProgram, TemporaryFilesOfKilledProcessesAreRemoved) {
  ASSERT_EQ(files.train("run", {"--steps", "4", "--stop-after", "2"}).exit_code, 0);
  for (const char* name : {".sotalign-1-0.tmp", ".sotalign-4711-12.tmp"})
    write_file(path("run/") + name, "x");
  const char* const kept[] = {".sotalign-1-0.tmp.bak", ".sotalign-x-1.tmp",   ".sotalign-1.tmp",
                              ".sotalign--1.tmp",      ".sotalign-1-1-1.tmp", "sotalign-1-0.tmp"};
  for (const char* name : kept) write_file(path("run/") + name, "x");
  fs::create_directory(path("run/.sotalign-2-0.tmp"));
  fs::create_symlink(path("images.npy"), path("run/.sotalign-3-0.tmp"));
  ASSERT_EQ(mkfifo(path("run/.sotalign-4-0.tmp").c_str(), 0600), 0);
  ASSERT_EQ(resume("train", "run").exit_code, 0);
  EXPECT_FALSE(fs::exists(path("run/.sotalign-1-0.tmp")));
  EXPECT_FALSE(fs::exists(path("run/.sotalign-4711-12.tmp")));
  for (const char* name : kept) EXPECT_TRUE(fs::exists(path("run/") + name)) << name;
  for (const char* name : {".sotalign-2-0.tmp", ".sotalign-3-0.tmp", ".sotalign-4-0.tmp"})
    EXPECT_TRUE(fs::exists(fs::symlink_status(path("run/") + name))) << name;

  fs::create_directory(path("new"));
  write_file(path("new/.sotalign-1-0.tmp"), "x");
  EXPECT_EQ(files.train("new", {"--steps", "2"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(path("new/.sotalign-1-0.tmp")));
}

TEST_F(RunDirectoryProgram, LinksInItAreNotFollowed) {
  ASSERT_EQ(files.train("run", {"--steps", "4", "--stop-after", "2"}).exit_code, 0);
  write_file(path("precious"), "keep");
  for (const char* name : {"config.json", "metrics.jsonl", "checkpoint.safetensors", "model.safetensors",
                           "summary.json", "metrics.csv", "report.html"}) {
    const std::string file = path("run/") + name;
    std::error_code ignored;
    fs::rename(file, path("aside"), ignored);
    fs::create_symlink(fs::exists(path("aside")) ? path("aside") : path("precious"), file);
    expect_refused(resume("train", "run"), {file, "symbolic link"});
    fs::remove(file);
    fs::rename(path("aside"), file, ignored);
  }
  EXPECT_EQ(read_file(path("precious")), "keep");
  // The link appears during the run.
  const ProgramResult result = files.train(
      "planted", {"--steps", "100000000", "--validate-every", "0", "--log-every", "1"}, [&](pid_t child) {
        for (int ms = 0; ms < 60000 && read_file(path("planted/metrics.jsonl")).empty(); ++ms) usleep(1000);
        fs::create_symlink(path("precious"), path("planted/model.safetensors"));
        fs::remove(path("planted/checkpoint.safetensors"));
        fs::create_symlink(path("precious"), path("planted/checkpoint.safetensors"));
        kill(child, SIGTERM);
      });
  expect_refused(result, {"checkpoint.safetensors", "symbolic link"});
  EXPECT_EQ(read_file(path("precious")), "keep");
  EXPECT_EQ(resume("train", "run").exit_code, 0);
}

TEST_F(RunDirectoryProgram, ClosedStreamsAreNotTakenByFiles) {
  const std::string options = std::string(kTrainingOptions) + "--steps 3 --log-every 1 --out ";
  for (const auto& [name, closed] : std::vector<std::pair<std::string, std::string>>{
           {"out", ">&-"}, {"err", "2>&-"}, {"in", "<&-"}, {"all", "<&- >&- 2>&-"}}) {
    const ProgramResult result = run_shell(files, "\"$S\" train " + options + name + " " + closed);
    EXPECT_EQ(result.exit_code, 0) << name << ": " << result.err;
    const std::string metrics = read_file(path(name + "/metrics.jsonl"));
    EXPECT_TRUE(metrics.starts_with("{\"type\":\"step\",\"step\":1,")) << metrics.substr(0, 100);
    EXPECT_EQ(metrics.find("data  "), std::string::npos);
    const ProgramResult failed = run_shell(files, "\"$S\" embed --model nowhere " + closed);
    EXPECT_EQ(failed.exit_code, 2) << name;
    const ProgramResult usage = run_shell(files, "\"$S\" " + closed);
    EXPECT_EQ(usage.exit_code, 2) << name;
  }
}

}  // namespace program_run_directory_test
}  // namespace sotalign::testing
