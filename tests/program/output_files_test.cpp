// Output files: a command never overwrites its input, and changes only the content of existing files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "sotalign/io/atomic_file.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_output_files_test {

namespace fs = std::filesystem;

class OutputFilesProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_hard_link(path("val_images.npy"), path("hard.npy"));
    fs::create_symlink("val_images.npy", path("soft.npy"));
    fs::create_directory_symlink(".", path("here"));
  }
  std::string path(const std::string& name) const { return files / name; }

  /// Expects a refusal because another flag names the file `output`, which must keep its content.
  void expect_same(const std::vector<std::string>& arguments, const std::string& output,
                   const std::string& other) const {
    const std::string before = read_file(path("val_images.npy"));
    const int64_t entries = files.entries();
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_CONTAINS(result.err, output + ": expected a file other than that of " + other);
    EXPECT_EQ(read_file(path("val_images.npy")), before);
    EXPECT_EQ(files.entries(), entries);
  }

  const TrainingFiles files;
};

TEST_F(OutputFilesProgram, AnInputUnderAnyName) {
  const std::string in = path("val_images.npy"), texts = path("val_texts.npy");
  for (const std::string name :
       {"val_images.npy", "hard.npy", "soft.npy", "here/val_images.npy", "./soft.npy"}) {
    const std::string out = path(name);
    expect_same({"embed", "--model", "m", "--side", "image", "--input", in, "--output", out}, "--output",
                "--input");
    expect_same({"search", "--queries", in, "--gallery", texts, "--out", out}, "--out", "--queries");
    expect_same({"search", "--queries", texts, "--gallery", in, "--scores", out}, "--scores", "--gallery");
    expect_same({"klot", "--student", in, "--teacher", texts, "--gradient", out}, "--gradient", "--student");
    expect_same({"divergence", "--student", texts, "--teacher", in, "--gradient", out}, "--gradient",
                "--teacher");
    expect_same({"sinkhorn", "--affinity", in, "--plan", out}, "--plan", "--affinity");
    expect_same({"sinkhorn", "--affinity", texts, "--b", in, "--potentials", out}, "--potentials", "--b");
    expect_same({"teacher", "--pairs-images", in, "--pairs-texts", texts, "--out", out}, "--out",
                "--pairs-images");
    expect_same({"eval", "--images", in, "--texts", in, "--json", out}, "--json", "--images");
    expect_same({"zeroshot", "--images", texts, "--labels", texts, "--prompts", in, "--prompt-classes", texts,
                 "--json", out},
                "--json", "--prompts");
    expect_same({"similarity", "--x", texts, "--y", in, "--json", out}, "--json", "--y");
    expect_same({"shift", "--images", in, "--other-images", texts, "--json", out}, "--json", "--images");
    expect_same({"compare", "--images", in, "--texts", texts, "--json", out}, "--json", "--images");
  }
}

TEST_F(OutputFilesProgram, ATensorOfTheSameFileAndAModel) {
  const std::string model = path("model.safetensors");
  ASSERT_EQ(run_program({"teacher", "--pairs-images", path("pairs_images.npy"), "--pairs-texts",
                         path("pairs_texts.npy"), "--out", model, "--quiet"})
                .exit_code,
            0);
  const std::string before = read_file(model);
  expect_same({"eval", "--images", model + ":W", "--texts", model + ":W", "--json", model}, "--json",
              "--images");
  expect_same(
      {"embed", "--model", model, "--side", "image", "--input", path("images.npy"), "--output", model},
      "--output", "--model");
  EXPECT_EQ(read_file(model), before);
}

TEST_F(OutputFilesProgram, TwoOutputsInOneFile) {
  const std::string in = path("val_images.npy");
  for (const std::string other : {"new", "here/new", "./new"})
    expect_same({"sinkhorn", "--affinity", in, "--plan", path("new"), "--potentials", path(other)}, "--plan",
                "--potentials");
  expect_same({"teacher", "--pairs-images", in, "--pairs-texts", path("val_texts.npy"), "--out", path("new"),
               "--json", path("here/new")},
              "--out", "--json");
  // Two inputs may be the same file, and standard output is not a file.
  EXPECT_EQ(run_program({"eval", "--images", in, "--texts", in, "--json", "-"}).exit_code, 0);
}

TEST_F(OutputFilesProgram, ReplacedFilesKeepTheirMode) {
  const auto write = [&](const std::string& name) {
    EXPECT_EQ(run_program({"similarity", "--x", path("images.npy"), "--y", path("images.npy"), "--k", "3",
                           "--json", path(name)})
                  .exit_code,
              0);
  };
  const auto status = [&](const std::string& name) {
    struct stat result {};
    EXPECT_EQ(stat(path(name).c_str(), &result), 0);
    return result;
  };
  for (const auto& [mode, kept] :
       std::vector<std::pair<mode_t, mode_t>>{{0600, 0600}, {0640, 0640}, {0666, 0666}, {04755, 0755}}) {
    write_file(path("r.json"), "old");
    if (geteuid() == 0) {
      ASSERT_EQ(chown(path("r.json").c_str(), 1234, 2345), 0);
    }
    ASSERT_EQ(chmod(path("r.json").c_str(), mode), 0);
    write("r.json");
    EXPECT_EQ(status("r.json").st_mode & 07777, kept);
    if (geteuid() == 0) {
      EXPECT_EQ(status("r.json").st_uid, 1234u);
      EXPECT_EQ(status("r.json").st_gid, 2345u);
    }
    EXPECT_EQ(read_file(path("r.json")).front(), '{');
    fs::remove(path("r.json"));
  }
  // Follows a link that the user names; a new file gets the mode that the umask allows.
  write_file(path("target.json"), "old");
  ASSERT_EQ(chmod(path("target.json").c_str(), 0600), 0);
  fs::create_symlink("target.json", path("link.json"));
  write("link.json");
  EXPECT_TRUE(fs::is_symlink(path("link.json")));
  EXPECT_EQ(status("target.json").st_mode & 0777, 0600u);
  const mode_t mask = umask(0027);
  write("new.json");
  umask(mask);
  EXPECT_EQ(status("new.json").st_mode & 0777, 0640u);
}

TEST(AtomicFile, IsNeverWiderThanWhatItReplaces) {
  const TemporaryDirectory directory;
  write_file(directory / "secret", "old");
  ASSERT_EQ(chmod((directory / "secret").c_str(), 0600), 0);
  AtomicFile file(directory / "secret");
  file.write("new", 3);
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(directory / "")) {
    struct stat status {};
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 077, 0u) << entry.path();
    ++seen;
  }
  EXPECT_EQ(seen, 2);
}

}  // namespace program_output_files_test
}  // namespace sotalign::testing
