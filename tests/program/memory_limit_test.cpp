// Too little address space (ulimit -v): every run ends promptly, with its result or with one line and exit
// code 2.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "support/program_data.h"

namespace sotalign {
namespace program_memory_limit_test {

struct Ended {
  int exit_code;    ///< 124: still running after a minute
  std::string err;  ///< standard error
};

Ended run_within(int mib, const std::vector<std::string>& arguments) {
  std::string command =
      "ulimit -v " + std::to_string(mib * 1024) + "; exec timeout 60 " + testing::program_path();
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  std::FILE* pipe = popen((command + " 2>&1 >/dev/null").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run a shell");
  Ended ended{};
  char chunk[256];
  while (const size_t bytes = std::fread(chunk, 1, sizeof chunk, pipe)) ended.err.append(chunk, bytes);
  const int status = pclose(pipe);
  ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ended;
}

class MemoryLimitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (testing::kProgramUnderAddressSanitizer)
      GTEST_SKIP() << "AddressSanitizer reserves terabytes and does not start under a limit";
  }

  testing::TrainingFiles files;

  std::vector<std::string> teacher(const std::string& threads) const {
    return {"teacher",
            "--pairs-images",
            files / "pairs_images.npy",
            "--pairs-texts",
            files / "pairs_texts.npy",
            "--threads",
            threads,
            "--force-threads",
            "true",
            "--out",
            files / "teacher.safetensors"};
  }
  std::vector<std::string> shift() const {
    return {"shift",
            "--images",
            files / "images.npy",
            "--other-images",
            files / "val_images.npy",
            "--threads",
            "3",
            "--force-threads",
            "true"};
  }
};

/// Too little for OpenBLAS to load, for its threads, or for one of its calls; and enough.
constexpr int kLimits[] = {72, 128, 200, 260, 300, 330, 380, 420, 480, 560, 700, 900, 1400};

TEST_F(MemoryLimitTest, EveryRunEndsWithItsResultOrOneLine) {
  int succeeded = 0, refused = 0;
  for (const int mib : kLimits)
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"info"}, shift(), teacher("1"), teacher("2"), teacher("4")}) {
      SCOPED_TRACE(arguments[0] + " in " + std::to_string(mib) + " MiB");
      const Ended result = run_within(mib, arguments);
      if (result.exit_code == 0) {
        ++succeeded;
        continue;
      }
      ++refused;
      // If the libraries do not fit, the loader ends the program with a message.
      constexpr int kLoader = 127;
      if (result.exit_code == kLoader && result.err.find("loading shared libraries") != std::string::npos)
        continue;
      EXPECT_EQ(result.exit_code, 2) << result.err;
      const bool memory = result.err.find("out of memory") != std::string::npos,
                 threads = result.err.find("threads: expected to start") != std::string::npos;
      EXPECT_TRUE(memory || threads) << result.err;
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    }
  EXPECT_GT(succeeded, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(MemoryLimitTest, FewerThreadsOfOpenBlasNeedLess) {
  // Enough for the libraries and a single buffer.
  setenv("OMP_NUM_THREADS", "1", 1);
  const Ended result = run_within(240, {"info"});
  unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

}  // namespace program_memory_limit_test
}  // namespace sotalign
