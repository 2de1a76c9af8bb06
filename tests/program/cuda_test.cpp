// The program on a CUDA device, emulated or real, against the program on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

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
  const std::string report = testing::read_file(files / "run/report.html");
  for (const char* id : {"similarity-model", "projection-before", "projection-after", "right</b>"})
    EXPECT_NE(report.find(id), std::string::npos) << id;

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

/// More than one tile of the gallery.
// The next batch then travels from plain memory: later, but with the same numbers.
TEST_F(CudaProgram, StreamsWithoutPinnedMemory) {
  const std::vector<std::string> options = {"--device",         "cuda", "--steps",           "4",
                                            "--batch-unpaired", "32",   "--teacher",         "cca",
                                            "--hubness-bank",   "0",    "--unpaired-memory", "streamed"};
  ASSERT_EQ(files.train("pinned", options).exit_code, 0);
  ::setenv("SIMT_PINNED_BYTES", "2048", 1);  // enough for what a solve takes
  const testing::ProgramResult result = files.train("plain", options);
  ::unsetenv("SIMT_PINNED_BYTES");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(testing::read_file(files / "plain/model.safetensors"),
            testing::read_file(files / "pinned/model.safetensors"));
}

TEST_F(CudaProgram, SearchesInTiles) {
  ASSERT_EQ(files.train("run", {"--device", "cpu", "--steps", "3"}).exit_code, 0);
  files.write("gallery.npy", 4100, testing::TrainingFiles::kImageDim, 8, 9);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--model", files / "run/model.safetensors", "--side", "text", "--queries",
                                 files / "val_texts.npy", "--hubness", "dbs"},
        {"--queries", files / "val_images.npy"}}) {
    const auto search = [&](const std::string& device) {
      std::vector<std::string> arguments = {"search",
                                            "--device",
                                            device,
                                            "--gallery",
                                            files / "gallery.npy",
                                            "--k",
                                            "5",
                                            "--out",
                                            files / (device + ".npy")};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const testing::ProgramResult result = testing::run_program(arguments);
      EXPECT_EQ(result.exit_code, 0) << result.err;
      return testing::read_file(files / (device + ".npy"));
    };
    EXPECT_TRUE(search("cuda") == search("cpu"));
  }
}

TEST_F(CudaProgram, InfoNamesTheDevice) {
  const testing::ProgramResult result = testing::run_program({"info", "--device", "cuda"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* word :
       {"device    cuda:0", "CUDA ", "compute capability", "cuBLAS ", "cuSOLVER ", "SIMD "})
    EXPECT_NE(result.out.find(word), std::string::npos) << word << " not in\n" << result.out;
}

TEST_F(CudaProgram, InfoChecksEveryDevice) {
  const testing::ProgramResult result = testing::run_program({"info", "--check"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* line : {"cpu       loss of training ", "cuda:0    loss of training "})
    EXPECT_NE(result.out.find(line), std::string::npos) << line << " not in\n" << result.out;
}

// The emulator's libraries, made unusable for the program while this object lives.
class Libraries {
 public:
  Libraries(const char* variable, const char* value) : variable_(variable) { ::setenv(variable, value, 1); }
  ~Libraries() { ::unsetenv(variable_); }
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;

 private:
  const char* variable_;
};

class CudaProgramLibraries : public CudaProgram {
 protected:
  void SetUp() override {
    CudaProgram::SetUp();
    if (!IsSkipped() && !testing::is_emulated(testing::devices().back()))
      GTEST_SKIP() << "needs the emulator's libraries";
  }
  // One line, and nothing left behind.
  void expect_failure(const testing::ProgramResult& result, const std::string& start,
                      const std::string& end) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find(start), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(end + "\n"), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(files / "run"));
  }
};

TEST_F(CudaProgramLibraries, TrainingRefusesLibrariesOfAnotherVersion) {
  const Libraries version("SIMT_LIBRARY_VERSION", "7");
  const std::string found = ", found version 7 already loaded in this process";
  expect_failure(files.train("run", {"--device", "cuda", "--steps", "1"}),
                 "sotalign train: CUDA: libcublas: expected version ", found);
  const testing::ProgramResult info = testing::run_program({"info", "--device", "cuda"});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  EXPECT_NE(info.out.find("cuBLAS    CUDA: libcublas: expected version "), std::string::npos) << info.out;
  EXPECT_NE(info.out.find("cuSOLVER  CUDA: libcusolver: expected version "), std::string::npos) << info.out;
}

TEST_F(CudaProgramLibraries, AProductNeedsCublas) {
  const Libraries missing("SIMT_MISSING_LIBRARIES", "libcublas");
  const std::string advice = "install it or add its folder to LD_LIBRARY_PATH";
  for (const std::string method : {"sail", "sotalign"})
    expect_failure(files.train("run", {"--device", "cuda", "--steps", "1", "--method", method}),
                   "sotalign train: CUDA: libcublas.so.", advice);
  expect_failure(testing::run_program({"eval", "--device", "cuda", "--images", files / "val_images.npy",
                                       "--texts", files / "val_images.npy"}),
                 "sotalign eval: CUDA: libcublas.so.", advice);
  const testing::ProgramResult info = testing::run_program({"info", "--device", "cuda"});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  EXPECT_NE(info.out.find("cuBLAS    CUDA: libcublas.so."), std::string::npos) << info.out;
  EXPECT_NE(info.out.find(" cannot be loaded ("), std::string::npos) << info.out;
  EXPECT_EQ(info.out.find("cuSOLVER  CUDA"), std::string::npos) << info.out;
}

TEST_F(CudaProgramLibraries, ADecompositionNeedsCusolver) {
  const Libraries missing("SIMT_MISSING_LIBRARIES", "libcusolver");
  const auto run = [&](const std::string& command, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {command, "--device", "cuda"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return testing::run_program(arguments);
  };
  expect_failure(run("teacher", {"--teacher", "cca", "--pairs-images", files / "pairs_images.npy",
                                 "--pairs-texts", files / "pairs_texts.npy", "--out", files / "run"}),
                 "sotalign teacher: CUDA: libcusolver.so.", "LD_LIBRARY_PATH");
  const testing::ProgramResult eval =
      run("eval", {"--images", files / "val_images.npy", "--texts", files / "val_images.npy"});
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
}

TEST_F(CudaProgramLibraries, SolvesOnAffinitiesNeedNeither) {
  for (const char* name : {"student.npy", "teacher.npy"}) {
    const std::vector<float> k = testing::random_uniform(30 * 20, name[0]);
    write_npy(files / name, ConstMatrixF(k.data(), 30, 20));
  }
  const Libraries missing("SIMT_MISSING_LIBRARIES", "libcublas,libcusolver");
  const std::vector<std::vector<std::string>> commands = {
      {"sinkhorn", "--affinity", files / "student.npy", "--epsilon", "0.1", "--plan", files / "plan.npy"},
      {"klot", "--student", files / "student.npy", "--teacher", files / "teacher.npy", "--gradient",
       files / "gradient.npy"},
      {"klot", "--student", files / "student.npy", "--teacher", files / "teacher.npy", "--affinity-memory",
       "fixed16"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--device", "cuda"});
    const testing::ProgramResult result = testing::run_program(command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

TEST_F(CudaProgram, RefusesADeviceThatIsNotThere) {
  const testing::ProgramResult result = testing::run_program({"info", "--device", "cuda:7"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("this machine has"), std::string::npos) << result.err;
}

}  // namespace program_cuda_test
}  // namespace sotalign
