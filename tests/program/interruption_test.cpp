// Signals, unwritable output and unavailable threads: a run loses nothing.
#include <gtest/gtest.h>
#include <omp.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program_data.h"
#include "support/shell.h"

namespace sotalign::testing {
namespace program_interruption_test {

namespace fs = std::filesystem;

class InterruptionProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }
  void wait_for_metrics(const std::string& run) const {
    for (int ms = 0; ms < 60000 && read_file(path(run + "/metrics.jsonl")).empty(); ++ms) usleep(1000);
  }
  int64_t steps_of(const std::string& run) const {
    const std::string metrics = read_file(path(run + "/metrics.jsonl"));
    return std::count(metrics.begin(), metrics.end(), '\n');
  }
  /// Continues the run up to `steps` and compares it with a single uninterrupted process.
  void expect_whole(const std::string& run, int64_t steps, std::vector<std::string> options) const {
    const std::string count = std::to_string(steps);
    const ProgramResult resumed =
        run_program({"train", "--out", path(run), "--resume", "--stop-after", count, "--quiet"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    options.insert(options.end(), {"--stop-after", count});
    ASSERT_EQ(files.train(run + "-whole", options).exit_code, 0);
    EXPECT_EQ(read_file(path(run + "/checkpoint.safetensors")),
              read_file(path(run + "-whole/checkpoint.safetensors")));
    EXPECT_EQ(steps_of(run), steps);
  }
  static void expect_line(const std::string& err, const std::vector<std::string>& parts) {
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
    for (const std::string& part : parts) EXPECT_CONTAINS(err, part);
  }

  const TrainingFiles files;
};

const std::vector<std::string> kLong = {"--steps",     "100000000", "--validate-every",   "0",
                                        "--log-every", "1",         "--checkpoint-every", "0"};
const std::string kLongText = std::string(kTrainingOptions) +
                              "--steps 100000000 --validate-every 0 --log-every 1 --checkpoint-every 0 ";

TEST_F(InterruptionProgram, EverySignalFinishesTheStepAndSaves) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string run = "run" + std::to_string(signal);
    const ProgramResult result = files.train(run, kLong, [&](pid_t child) {
      wait_for_metrics(run);
      kill(child, signal);
    });
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_CONTAINS(result.out, "to continue: sotalign train --out " + path(run) + " --resume");
    expect_whole(run, steps_of(run) + 3, kLong);
  }
}

TEST_F(InterruptionProgram, AnIgnoredSignalStaysIgnored) {
  const ProgramResult result =
      run_shell(files, "trap '' HUP\n\"$S\" train " + kLongText +
                           "--out run & p=$!\n"
                           "while [ ! -s run/metrics.jsonl ]; do sleep 0.01; done\nkill -HUP $p; sleep 0.3\n"
                           "kill -0 $p || exit 1\nkill -TERM $p; wait $p");
  EXPECT_EQ(result.exit_code, 130) << result.err;
}

TEST_F(InterruptionProgram, ASecondSignalEndsTheProgramAtOnce) {
  // Standard output is a pipe that nobody reads: the first signal cannot end the program while it writes.
  const ProgramResult result =
      run_shell(files, "mkfifo pipe; sleep 60 <pipe & s=$!\n\"$S\" train " + kLongText +
                           "--out run >pipe & p=$!\n"
                           "while [ ! -s run/metrics.jsonl ]; do sleep 0.01; done\n"
                           "b=0; while [ $b != $(wc -c <run/metrics.jsonl) ]; do b=$(wc -c "
                           "<run/metrics.jsonl); sleep 1; done\n"
                           "kill -TERM $p; sleep 0.2\n"
                           "kill -0 $p && kill -HUP $p; wait $p; c=$?; kill $s; exit $c");
  EXPECT_EQ(result.exit_code, 128 + SIGHUP) << result.err;
}

TEST_F(InterruptionProgram, BeforeTheFirstStepNothingIsLeft) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const ProgramResult result = files.train(
        "a/b/run", {"--teacher", "contrastive", "--teacher-steps", "100000000"}, [&](pid_t child) {
          for (int ms = 0; ms < 60000 && !fs::exists(path("a/b/run")); ++ms) usleep(1000);
          usleep(50000);
          kill(child, signal);
        });
    EXPECT_EQ(result.exit_code, 130);
    EXPECT_EQ(result.out, "");
    expect_line(result.err, {"sotalign train: interrupted before the first step"});
    EXPECT_FALSE(fs::exists(path("a")));
  }
}

TEST_F(InterruptionProgram, AClosedPipeIsAnInterruption) {
  const ProgramResult train =
      run_shell(files, "{ \"$S\" train " + kLongText + "--out run; echo $? >code; } | head -1; cat code");
  EXPECT_TRUE(train.out.ends_with("\n130\n")) << train.out;
  expect_line(train.err, {"sotalign train: standard output was closed", "stopped after step",
                          "to continue: sotalign train --out run --resume"});
  expect_whole("run", steps_of("run") + 3, kLong);

  const ProgramResult sweep = run_shell(
      files,
      "{ \"$S\" sweep " + std::string(kTrainingOptions) +
          "--vary divergence_weight=0,3 --steps 300 --out sweep; echo $? >code; } | head -1; cat code");
  EXPECT_TRUE(sweep.out.ends_with("\n130\n")) << sweep.out;
  expect_line(sweep.err, {"sotalign sweep: standard output was closed",
                          "to continue: sotalign sweep --out sweep --resume"});
  EXPECT_EQ(run_program({"sweep", "--out", path("sweep"), "--resume"}).exit_code, 0);

  const ProgramResult study =
      run_shell(files,
                "{ \"$S\" study --images pairs_images.npy --texts pairs_texts.npy --test 10 "
                "--validation 5 --sections nowhere --out study; echo $? >code; } | head -1; cat code");
  EXPECT_CONTAINS(study.out, "2\n");
  EXPECT_FALSE(fs::exists(path("study")));
}

TEST_F(InterruptionProgram, StudyWhosePipeIsClosedGoesOnLater) {
  write_file(path("plan.json"), R"({"set": {"steps": 2}, "methods": [
      {"name": "SAIL", "set": {"divergence_weight": 0}}, {"name": "SOTAlign", "set": {"divergence_weight": 3}}],
      "sections": {"methods": {"pairs": [10, 20], "methods": ["SAIL", "SOTAlign"], "proposed": ["SOTAlign"],
                               "worth": {"method": "SAIL", "times": [2]}}}})");
  const ProgramResult study =
      run_shell(files,
                "{ \"$S\" study --images pairs_images.npy --texts pairs_texts.npy --test 10 "
                "--validation 5 --sections methods --seeds 0 --plan plan.json --out study; "
                "echo $? >code; } | head -1; cat code");
  EXPECT_TRUE(study.out.ends_with("\n130\n")) << study.out;
  expect_line(study.err,
              {"sotalign study: standard output was closed", "sotalign study --out study --resume"});
  EXPECT_EQ(run_program({"study", "--out", path("study"), "--resume"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(path("study/study.md")));
}

TEST_F(InterruptionProgram, AFullDiskLosesNoRun) {
  const ProgramResult output = run_shell(files, "\"$S\" train " + kLongText + "--out run >/dev/full");
  EXPECT_EQ(output.exit_code, 130);
  expect_line(output.err, {"cannot write to standard output", "train --out run --resume"});
  expect_whole("run", steps_of("run") + 3, kLong);
  const ProgramResult end =
      run_shell(files, "\"$S\" train " + std::string(kTrainingOptions) + "--steps 1 --out short >/dev/full");
  EXPECT_EQ(end.exit_code, 130);
  expect_line(end.err, {"the run is complete", "train --out short --resume"});
  EXPECT_TRUE(fs::exists(path("short/model.safetensors")));
  // Commands without a run to save fail.
  const ProgramResult eval =
      run_shell(files, "\"$S\" eval --images images.npy --texts images.npy >/dev/full");
  EXPECT_EQ(eval.exit_code, 2);
  expect_line(eval.err, {"No space left"});

  // A file size limit, in blocks of 512 bytes or 1 KiB, hits the metrics first.
  const ProgramResult limited =
      run_shell(files, "ulimit -f 60; \"$S\" train " + std::string(kTrainingOptions) +
                           "--steps 100000000 --log-every 1 --checkpoint-every 20 --quiet --out limited");
  EXPECT_EQ(limited.exit_code, 2) << limited.err;
  expect_line(limited.err, {"limited/metrics.jsonl", "File too large"});
  const int64_t steps = steps_of("limited") + 3;
  EXPECT_EQ(run_program({"train", "--out", path("limited"), "--resume", "--stop-after", std::to_string(steps),
                         "--quiet"})
                .exit_code,
            0);
  // A limit of 0 hits the first file.
  const ProgramResult none =
      run_shell(files, "ulimit -f 0; \"$S\" train " + kLongText + "--out x/y 2>/dev/full");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_F(InterruptionProgram, MoreThreadsThanCoresOnlyIfForced) {
  const std::string cores = std::to_string(omp_get_num_procs());
  const std::string many = std::to_string(omp_get_num_procs() + 7);
  const auto device = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--steps", "3", "--device", "cpu"};
    options.insert(options.end(), more.begin(), more.end());
    return files.train(out, options);
  };
  const ProgramResult capped = device("capped", {"--threads", many});
  EXPECT_EQ(capped.exit_code, 0);
  EXPECT_CONTAINS(capped.out, "device    cpu, " + cores + " thread");
  expect_line(capped.err, {many + " threads requested, " + cores + " used", "--force-threads"});
  using Json = nlohmann::json;
  EXPECT_EQ(Json::parse(read_file(path("capped/config.json")))["threads"], std::stoi(many));
  EXPECT_EQ(Json::parse(read_file(path("capped/summary.json")))["threads"], std::stoi(cores));
  ASSERT_EQ(device("cores", {"--threads", cores}).exit_code, 0);
  EXPECT_EQ(read_file(path("capped/checkpoint.safetensors")),
            read_file(path("cores/checkpoint.safetensors")));

  const ProgramResult forced = device("forced", {"--threads", many, "--force-threads", "true"});
  EXPECT_EQ(forced.exit_code, 0);
  EXPECT_EQ(forced.err, "");
  EXPECT_CONTAINS(forced.out, "device    cpu, " + many + " threads");

  const ProgramResult environment = run_shell(
      files, "OMP_NUM_THREADS=" + many + " \"$S\" train " + kTrainingOptions + "--steps 1 --out environment");
  expect_line(environment.err, {many + " threads requested"});
  const ProgramResult quiet = device("quiet", {"--threads", many, "--quiet"});
  EXPECT_EQ(quiet.err + quiet.out, "");
}

TEST_F(InterruptionProgram, ThreadsThatCannotBeStarted) {
  if (kProgramUnderAddressSanitizer)
    GTEST_SKIP() << "AddressSanitizer needs more address space than the limit leaves";
  const ProgramResult result =
      run_shell(files, "ulimit -v 4000000; OMP_STACKSIZE=256M \"$S\" train " + std::string(kTrainingOptions) +
                           "--device cpu --threads 256 --force-threads true --out run");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  expect_line(result.err, {"sotalign train: threads: expected to start 256, found a limit of "});
  EXPECT_FALSE(fs::exists(path("run")));
}

}  // namespace program_interruption_test
}  // namespace sotalign::testing
