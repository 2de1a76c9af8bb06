// The program on a CUDA device, emulated or real, against the program on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "sotalign/io/npy.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/program_data.h"

namespace sotalign {
namespace program_cuda_test {

// Runs the program on the device. An emulated device exists only if SIMT_DEVICES asks for it.
class CudaProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (testing::devices().back().kind != DeviceKind::kCuda)
      GTEST_SKIP() << "no CUDA device, and this build does not emulate one";
    ::setenv("SIMT_DEVICES", "1", 1);
  }
  void TearDown() override { ::unsetenv("SIMT_DEVICES"); }
  testing::TrainingFiles files;
};

TEST_F(CudaProgram, TrainsEvaluatesAndEmbeds) {
  const std::vector<std::string> options = {"--device",         "cuda", "--steps",           "3",
                                            "--batch-unpaired", "32",   "--epsilon-student", "0.2"};
  const testing::ProgramResult train = files.train("run", options);
  ASSERT_EQ(train.exit_code, 0) << train.err;
  EXPECT_NE(train.out.find("device    cuda:0, "), std::string::npos) << train.out;

  const std::string model = files / "run/model.safetensors";
  const auto evaluate = [&](const std::string& device) {
    const testing::ProgramResult result =
        testing::run_program({"eval", "--device", device, "--model", model, "--images",
                              files / "val_images.npy", "--texts", files / "val_texts.npy"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  EXPECT_EQ(evaluate("cuda"), evaluate("cpu"));

  const auto embed = [&](const std::string& device) {
    const std::string out = files / ("shared_" + device + ".npy");
    const testing::ProgramResult result =
        testing::run_program({"embed", "--device", device, "--model", model, "--side", "text", "--input",
                              files / "val_texts.npy", "--output", out});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read_npy_matrix(out);
  };
  const HostMatrix on_cuda = embed("cuda"), on_cpu = embed("cpu");
  ASSERT_EQ(on_cuda.rows(), on_cpu.rows());
  ASSERT_EQ(on_cuda.cols(), on_cpu.cols());
  for (int64_t i = 0; i < on_cpu.rows() * on_cpu.cols(); ++i)
    EXPECT_WITHIN(std::abs(on_cuda.data()[i] - on_cpu.data()[i]), 1e-6f) << i;
}

TEST_F(CudaProgram, InfoNamesTheDevice) {
  const testing::ProgramResult result = testing::run_program({"info", "--device", "cuda"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* word :
       {"device    cuda:0", "CUDA ", "compute capability", "cuBLAS ", "cuSOLVER ", "SIMD "})
    EXPECT_NE(result.out.find(word), std::string::npos) << word << " not in\n" << result.out;
}

TEST_F(CudaProgram, RefusesLibrariesOfAnotherVersion) {
  if (!testing::is_emulated(testing::devices().back())) GTEST_SKIP() << "needs the emulator's libraries";
  ::setenv("SIMT_LIBRARY_VERSION", "7", 1);
  const testing::ProgramResult result = testing::run_program({"info", "--device", "cuda"});
  ::unsetenv("SIMT_LIBRARY_VERSION");
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.err.find("CUDA: libcublas: expected version "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(", found version 7 already loaded in this process\n"), std::string::npos)
      << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(CudaProgram, RefusesADeviceThatIsNotThere) {
  const testing::ProgramResult result = testing::run_program({"info", "--device", "cuda:7"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("this machine has"), std::string::npos) << result.err;
}

}  // namespace program_cuda_test
}  // namespace sotalign
