// Unpaired rows in several files: the same run as with one.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "sotalign/io/embeddings.h"
#include "sotalign/io/npy.h"
#include "support/program.h"
#include "support/program_data.h"
#include "support/temporary_directory.h"
#include "support/test_files.h"

namespace sotalign::testing {
namespace program_shards_test {

using Json = nlohmann::ordered_json;

class Shards : public ::testing::Test {
 protected:
  /// image-0.npy, image-1.npy and image-10.npy are images.npy.
  void SetUp() override {
    const HostMatrix images = read_matrix(files / "images.npy");
    int64_t first = 0;
    for (const auto& [name, rows] :
         {std::pair{"image-0.npy", 25}, {"image-1.npy", 1}, {"image-10.npy", 34}}) {
      write_npy(files / name, images.view().row_range(first, rows));
      first += rows;
    }
    ASSERT_EQ(first, images.rows());
    ASSERT_EQ(files.train("one", {"--steps", "4"}).exit_code, 0);
  }
  void expect_same(const std::string& run, std::vector<std::string> options) {
    options.insert(options.end(), {"--steps", "4"});
    const ProgramResult result = files.train(run, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_SAME_FILES(files / "one/model.safetensors", files / (run + "/model.safetensors"));
  }
  Json config(const std::string& run) const { return Json::parse(read_file(files / (run + "/config.json"))); }
  std::vector<std::string> listed() const {
    return {files / "image-0.npy", files / "image-1.npy", files / "image-10.npy"};
  }

  const TrainingFiles files;
};

TEST_F(Shards, ListedOrMatched) {
  for (const std::string memory : {"stored", "streamed"}) {
    std::vector<std::string> options = {"--images"};
    for (const std::string& file : listed()) options.push_back(file);
    options.insert(options.end(), {"--unpaired-memory", memory});
    expect_same("listed_" + memory, options);
    expect_same("matched_" + memory, {"--images", files / "image-*.npy", "--unpaired-memory", memory});
    EXPECT_EQ(config("matched_" + memory)["images"], Json(listed()));
    EXPECT_EQ(config("matched_" + memory)["texts"], files / "texts.npy");
  }
  // From a file of options, and its last occurrence on the command line.
  write_file(files / "c.json", Json({{"images", listed()}, {"steps", 4}}).dump());
  expect_same("by_file", {"--config", files / "c.json", "--images", files / "image-*.npy"});
  expect_same("last",
              {"--images", files / "texts.npy", files / "texts.npy", "--images", files / "images.npy"});
  EXPECT_EQ(config("last")["images"], files / "images.npy");
}

// A file that the pattern matches later does not become part of a run that has begun.
TEST_F(Shards, AResumedRunHasTheFilesThatItBeganWith) {
  ASSERT_EQ(
      files.train("run", {"--images", files / "image-*.npy", "--steps", "4", "--stop-after", "2"}).exit_code,
      0);
  std::filesystem::copy(files / "image-1.npy", files / "image-2.npy");
  const ProgramResult resumed = run_program({"train", "--out", files / "run", "--resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_SAME_FILES(files / "one/model.safetensors", files / "run/model.safetensors");
}

TEST_F(Shards, OtherCommandsTakeThemToo) {
  const auto teacher = [&](const std::vector<std::string>& images, const std::string& out) {
    std::vector<std::string> arguments = {"teacher",
                                          "--pairs-images",
                                          files / "pairs_images.npy",
                                          "--pairs-texts",
                                          files / "pairs_texts.npy",
                                          "--texts",
                                          files / "texts.npy",
                                          "--out",
                                          files / out,
                                          "--images"};
    arguments.insert(arguments.end(), images.begin(), images.end());
    EXPECT_EQ(run_program(arguments).exit_code, 0);
  };
  teacher({files / "images.npy"}, "a.safetensors");
  teacher(listed(), "b.safetensors");
  EXPECT_SAME_FILES(files / "a.safetensors", files / "b.safetensors");
  const ProgramResult sweep = files.command(
      "sweep", "sweep", {"--images", files / "image-*.npy", "--vary", "seed=0,1", "--steps", "2"});
  EXPECT_EQ(sweep.exit_code, 0) << sweep.err;
}

TEST_F(Shards, BadOnesAreRefused) {
  const auto refused = [&](const std::vector<std::string>& images, const std::string& part) {
    std::vector<std::string> options = {"--images"};
    options.insert(options.end(), images.begin(), images.end());
    const ProgramResult result = files.train("refused", options);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(std::filesystem::exists(files / "refused"));
  };
  refused({files / "none-*.npy"}, "none-*.npy: no file matches this pattern");
  refused({files / "image-0.npy", files / "missing.npy"}, "missing.npy: no such file");
  refused({files / "image-0.npy", files / "texts.npy"}, "texts.npy: expected 12 columns");
  std::filesystem::resize_file(files / "image-1.npy", 150);
  refused({files / "image-*.npy"}, "image-1.npy");
}

}  // namespace program_shards_test
}  // namespace sotalign::testing
