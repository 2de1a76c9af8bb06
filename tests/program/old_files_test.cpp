// This version reads models and continues runs of sotalign 0.1.0, with a note that they have no checksums.
// tests/golden/run_0.1 holds files written by that version.
#include <gtest/gtest.h>

#include <filesystem>

#include "sotalign/io/safetensors.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/temporary_directory.h"
#include "support/test_files.h"

namespace sotalign::testing {
namespace program_old_files_test {

class OldFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(testing::test_files() + "/golden/run_0.1", files / "",
                          std::filesystem::copy_options::recursive);
    std::string config = read_file(files / "run/config.json"), directory = files / "";
    directory.pop_back();
    const std::string placeholder = "DIRECTORY";
    for (size_t at = 0; (at = config.find(placeholder, at)) != std::string::npos; at += directory.size())
      config.replace(at, placeholder.size(), directory);
    write_file(files / "run/config.json", config);
  }

  TemporaryDirectory files;
};

TEST_F(OldFiles, ARunIsContinuedToTheSameModel) {
  const ProgramResult result = run_program({"train", "--out", files / "run", "--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "3 of 6 steps are done");
  EXPECT_CONTAINS(result.err, "checkpoint.safetensors was written by sotalign 0.1 and has no checksums");
  EXPECT_CONTAINS(result.err, "config.json: klot_weight is now divergence_weight\n");

  const SafetensorsFile expected = SafetensorsFile::open(files / "model.safetensors"),
                        found = SafetensorsFile::open(files / "run/model.safetensors");
  EXPECT_TRUE(found.has_checksums());
  ASSERT_EQ(found.names(), expected.names());
  for (const std::string& name : expected.names()) {
    const std::vector<double> a = expected.read_double(name), b = found.read_double(name);
    ASSERT_EQ(a.size(), b.size());
    // The files may come from another machine, which sums in another order.
    for (size_t i = 0; i < a.size(); ++i) EXPECT_WITHIN(std::abs(a[i] - b[i]), 1e-5 * (1 + std::abs(a[i])));
  }
  // The complete metrics: the old lines, without a type, and the new ones.
  const std::string metrics = read_file(files / "run/metrics.jsonl");
  for (const char* step :
       {"{\"step\":1,", "{\"step\":3,", "{\"type\":\"step\",\"step\":4,", "{\"type\":\"step\",\"step\":6,"})
    EXPECT_CONTAINS(metrics, step);
}

TEST_F(OldFiles, AModelIsUsed) {
  const ProgramResult result =
      run_program({"eval", "--model", files / "model.safetensors", "--images", files / "val_images.npy",
                   "--texts", files / "val_texts.npy", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_CONTAINS(result.out, "\"mean_r1\":0.75");
  EXPECT_CONTAINS(result.err, "model.safetensors was written by sotalign 0.1 and has no checksums");
}

}  // namespace program_old_files_test
}  // namespace sotalign::testing
