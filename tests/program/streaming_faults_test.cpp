// A run that streams its unpaired rows, and bad luck: kills, files that change, failing and slow disks.
// Either it goes on to the same bits, or it ends with one line that names the file, and its last checkpoint
// goes on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_streaming_faults_test {

namespace fs = std::filesystem;

/// Variables of the environment of the programs that start while this object lives.
class Environment {
 public:
  explicit Environment(std::vector<std::pair<std::string, std::string>> variables)
      : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::string>> variables_;
};

/// Of support/faulty_reads.c.
Environment faulty(const std::string& file, std::vector<std::pair<std::string, std::string>> how) {
  how.emplace_back("FAULTY_FILE", file);
  how.emplace_back("LD_PRELOAD", SOTALIGN_FAULTY_READS);
  return Environment(std::move(how));
}

class StreamingFaults : public ::testing::Test {
 protected:
  static constexpr int64_t kShardRows = 400;

  /// Two shards of images and two of texts, of which a step reads a few rows.
  void SetUp() override {
    for (const std::string side : {"images", "texts"})
      for (const int shard : {0, 1}) write_shard(side, shard);
  }
  void write_shard(const std::string& side, int shard, uint64_t seed = 0) const {
    const bool image = side == "images";
    files.write(side + "-" + std::to_string(shard) + ".npy", kShardRows,
                image ? TrainingFiles::kImageDim : TrainingFiles::kTextDim, 20 + seed,
                30 + static_cast<uint64_t>(shard) + seed);
  }
  std::string path(const std::string& name) const { return files / name; }

  std::vector<std::string> arguments(const std::string& run, const std::vector<std::string>& more,
                                     const std::string& memory = "streamed") const {
    std::vector<std::string> all = {"train",
                                    "--pairs-images",
                                    path("pairs_images.npy"),
                                    "--pairs-texts",
                                    path("pairs_texts.npy"),
                                    "--images",
                                    path("images-*.npy"),
                                    "--texts",
                                    path("texts-*.npy"),
                                    "--val-images",
                                    path("val_images.npy"),
                                    "--val-texts",
                                    path("val_texts.npy"),
                                    "--unpaired-memory",
                                    memory,
                                    "--teacher",
                                    "cca",
                                    "--batch-unpaired",
                                    "20",
                                    "--checkpoint-every",
                                    "5",
                                    "--log-every",
                                    "1",
                                    "--threads",
                                    "1",
                                    "--out",
                                    path(run)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ProgramResult train(const std::string& run, const std::vector<std::string>& more,
                      const std::function<void(pid_t)>& meanwhile = {}) const {
    return run_program(arguments(run, more), meanwhile);
  }
  ProgramResult resume(const std::string& run, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"train", "--out", path(run), "--resume"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }

  void wait_for_checkpoint(const std::string& run) const {
    for (int ms = 0; ms < 60000 && !fs::exists(path(run + "/checkpoint.safetensors")); ++ms)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  /// A run that hangs is killed, so that its exit code is not the expected one.
  static void wait_for_end(pid_t child) {
    siginfo_t ended = {};
    for (int ms = 0; ms < 60000; ++ms) {
      if (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
          ended.si_pid != 0)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(child, SIGKILL);
  }
  int64_t steps_of(const std::string& run) const {
    const std::string metrics = read_file(path(run + "/metrics.jsonl"));
    int64_t steps = 0;
    for (size_t at = metrics.find("\"type\":\"step\""); at != std::string::npos;
         at = metrics.find("\"type\":\"step\"", at + 1))
      ++steps;
    return steps;
  }

  /// An endless run to which `fault` happens after its first checkpoint.
  ProgramResult run_with_fault(const std::string& run, const std::function<void()>& fault) const {
    return train(run, kEndless, [&](pid_t child) {
      wait_for_checkpoint(run);
      fault();
      wait_for_end(child);
    });
  }
  /// The same for a fault that the run survives: it is interrupted some steps later.
  ProgramResult run_on_after(const std::string& run, const std::function<void()>& fault) const {
    return train(run, kEndless, [&](pid_t child) {
      wait_for_checkpoint(run);
      fault();
      const int64_t before = steps_of(run);
      for (int ms = 0; ms < 60000 && steps_of(run) < before + 20; ++ms)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      kill(child, SIGTERM);
      wait_for_end(child);
    });
  }
  static void expect_one_line(const ProgramResult& result, const std::vector<std::string>& parts) {
    EXPECT_EQ(result.exit_code, 2) << result.out;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
  }
  /// Continues the run to `steps`, and compares its checkpoint with that of a run to which nothing happened.
  void expect_whole(const std::string& run, int64_t steps) const {
    const std::string count = std::to_string(steps);
    const ProgramResult resumed = resume(run, {"--stop-after", count});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    std::vector<std::string> straight = kEndless;
    straight.insert(straight.end(), {"--stop-after", count});
    ASSERT_EQ(train(run + "-whole", straight).exit_code, 0);
    EXPECT_EQ(read_file(path(run + "/checkpoint.safetensors")),
              read_file(path(run + "-whole/checkpoint.safetensors")));
  }

  const std::vector<std::string> kEndless = {"--steps", "100000000", "--validate-every", "0"};
  const TrainingFiles files;
};

TEST_F(StreamingFaults, StreamedAndStoredRowsGiveTheSameModel) {
  const std::vector<std::string> steps = {"--steps", "12"};
  ASSERT_EQ(train("streamed", steps).exit_code, 0);
  ASSERT_EQ(run_program(arguments("stored", steps, "stored")).exit_code, 0);
  // The files differ in the option itself, so the rows of a search with both models are compared.
  for (const std::string run : {"streamed", "stored"})
    ASSERT_EQ(run_program({"embed", "--model", path(run + "/model.safetensors"), "--side", "image", "--input",
                           path("val_images.npy"), "--output", path(run + ".npy")})
                  .exit_code,
              0);
  EXPECT_EQ(read_file(path("streamed.npy")), read_file(path("stored.npy")));
}

/// Kills at random moments, as often as it takes.
TEST_F(StreamingFaults, KillsLoseNothing) {
  if (kProgramUnderAddressSanitizer) GTEST_SKIP() << "AddressSanitizer must be loaded first";
  const std::vector<std::string> steps = {
      "--steps",        "60", "--checkpoint-every", "3",
      "--hubness-bank", "0"};  // whose rows take longer to read than the longest wait
  ASSERT_EQ(train("whole", steps).exit_code, 0);
  std::mt19937 random(7);
  int kills = 0;
  const auto killer = [&](pid_t child) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 120));
    siginfo_t ended = {};
    if (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == 0) {
      kill(child, SIGKILL);
      ++kills;
    }
  };
  // Reads are slow, so that kills meet them.
  const Environment slow = faulty("/images-", {{"FAULTY_SLEEP", "200"}});
  for (int attempt = 0; attempt < 100; ++attempt) {
    const bool begun = fs::exists(path("run/config.json"));
    const ProgramResult result = begun ? run_program({"train", "--out", path("run"), "--resume"}, killer)
                                       : train("run", steps, killer);
    if (result.exit_code == 0) break;
    ASSERT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
  }
  EXPECT_GT(kills, 2);
  ASSERT_TRUE(fs::exists(path("run/model.safetensors")));
  EXPECT_EQ(read_file(path("run/model.safetensors")), read_file(path("whole/model.safetensors")));
}

TEST_F(StreamingFaults, ShardsThatAreShortenedOrWritten) {
  const std::string shard = path("images-1.npy"), kept = read_file(shard);
  const auto stamp = fs::last_write_time(shard);
  const std::vector<std::pair<std::string, std::function<void()>>> faults = {
      {"half", [&] { fs::resize_file(shard, kept.size() / 2); }},
      {"empty", [&] { fs::resize_file(shard, 0); }},
      {"longer", [&] { fs::resize_file(shard, kept.size() + 4096); }},
      {"written", [&] { std::fstream(shard, std::ios::in | std::ios::out | std::ios::binary) << kept; }},
      {"other", [&] { write_file(shard, std::string(kept.size(), 'x')); }}};
  for (const auto& [run, fault] : faults) {
    SCOPED_TRACE(run);
    expect_one_line(run_with_fault(run, fault), {shard});
    // The file comes back, as from a backup.
    write_file(shard, kept);
    fs::last_write_time(shard, stamp);
    expect_whole(run, steps_of(run) + 3);
  }
}

/// Whoever replaces or deletes a name does not touch the file that the run has open.
TEST_F(StreamingFaults, ShardsThatAreReplacedOrDeletedStayOpen) {
  const std::string shard = path("images-1.npy"), backup = path("backup.npy"), kept = read_file(shard);
  fs::copy_file(shard, backup);
  const auto replace = [&] {
    write_shard("images", 5, 90);  // other rows
    fs::rename(path("images-5.npy"), shard);
  };
  for (const bool replaced : {true, false}) {
    const std::string run = replaced ? "replaced" : "deleted";
    SCOPED_TRACE(run);
    const ProgramResult result = run_on_after(run, [&] {
      if (replaced)
        replace();
      else
        fs::remove(shard);
    });
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_EQ(result.err, "");
    // The name now means other rows, or none.
    expect_one_line(resume(run), {replaced ? "other options or data" : "images-"});
    fs::rename(backup, shard);
    expect_whole(run, steps_of(run) + 3);
    fs::copy_file(shard, backup, fs::copy_options::overwrite_existing);
  }
}

/// Before the first step, too: the rows are checked and their means computed through the mapping.
TEST_F(StreamingFaults, AFileThatIsShortenedBeforeTheFirstStep) {
  const int64_t rows = 400'000;
  files.write("images-1.npy", rows, TrainingFiles::kImageDim, 20, 31);
  const std::string shard = path("images-1.npy");
  const auto size = fs::file_size(shard);
  for (const int milliseconds : {20, 60, 100, 150}) {
    SCOPED_TRACE(milliseconds);
    const std::string kept = read_file(shard);
    const ProgramResult result = train("run", kEndless, [&](pid_t child) {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      fs::resize_file(shard, size / 2);
      wait_for_end(child);
    });
    expect_one_line(result, {shard});
    write_file(shard, kept);
    fs::remove_all(path("run"));
  }
}

class FaultyReads : public StreamingFaults {
 protected:
  void SetUp() override {
    if (kProgramUnderAddressSanitizer) GTEST_SKIP() << "AddressSanitizer must be loaded first";
    StreamingFaults::SetUp();
  }
};

/// Otherwise the tests below would test nothing.
TEST_F(FaultyReads, TheReaderReadsThroughThem) {
  const Environment log = faulty("/images-", {{"FAULTY_LOG", path("log")}});
  ASSERT_EQ(train("run", {"--steps", "10"}).exit_code, 0);
  EXPECT_GE(read_file(path("log")).size(), 10 * 20 / 2u);
}

TEST_F(FaultyReads, AFailingDeviceEndsTheRun) {
  for (const int after : {0, 300, 1001}) {
    const std::string run = "run" + std::to_string(after);
    SCOPED_TRACE(run);
    {
      const Environment broken = faulty("/images-1", {{"FAULTY_AFTER", std::to_string(after)}});
      expect_one_line(train(run, kEndless, [](pid_t child) { wait_for_end(child); }),
                      {path("images-1.npy"), "Input/output error"});
    }
    if (after == 0) continue;
    ASSERT_TRUE(fs::exists(path(run + "/checkpoint.safetensors")));
    expect_whole(run, steps_of(run) + 3);
  }
}

TEST_F(FaultyReads, ASlowDiskGivesTheSameBits) {
  const std::vector<std::string> steps = {"--steps", "8"};
  ASSERT_EQ(train("fast", steps).exit_code, 0);
  {
    const Environment slow = faulty(".npy", {{"FAULTY_SLEEP", "3000"}});
    const ProgramResult result = train("slow", steps);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  EXPECT_EQ(read_file(path("slow/model.safetensors")), read_file(path("fast/model.safetensors")));
  {
    const Environment pieces = faulty(".npy", {{"FAULTY_SHORT", "1"}});
    ASSERT_EQ(train("pieces", steps).exit_code, 0);
  }
  EXPECT_EQ(read_file(path("pieces/model.safetensors")), read_file(path("fast/model.safetensors")));
}

/// Ctrl-C while the reader waits for the disk.
TEST_F(FaultyReads, AnInterruptionDoesNotWaitForLong) {
  const Environment slow = faulty(".npy", {{"FAULTY_SLEEP", "2000"}});
  const ProgramResult result = train("run", kEndless, [&](pid_t child) {
    wait_for_checkpoint("run");
    kill(child, SIGINT);
    wait_for_end(child);
  });
  EXPECT_EQ(result.exit_code, 130) << result.err;
}

}  // namespace program_streaming_faults_test
}  // namespace sotalign::testing
