// The program reads what it was given and writes finite values: it reports damage, other data and files that
// change during a run, in one line.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "sotalign/io/safetensors.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_trust_test {

using Json = nlohmann::ordered_json;

class TrustProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }
  void expect_refused(const ProgramResult& result, const std::vector<std::string>& parts) {
    EXPECT_EQ(result.exit_code, 2) << result.out;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
  }
  ProgramResult resume(const std::string& command, const std::string& run) {
    return run_program({command, "--out", path(run), "--resume"});
  }
  /// Reverses the order of the file's rows.
  void reverse_rows(const std::string& name) {
    const HostMatrix rows = read_npy_matrix(path(name));
    std::vector<float> reversed;
    for (int64_t i = rows.rows(); i-- > 0;)
      reversed.insert(reversed.end(), rows.view().row(i), rows.view().row(i) + rows.cols());
    write_npy(path(name), ConstMatrixF(reversed.data(), rows.rows(), rows.cols()));
  }

  TrainingFiles files;
};

TEST_F(TrustProgram, ResumeRefusesOtherRows) {
  for (const std::string name : {"pairs_texts", "images", "texts", "val_images"}) {
    ASSERT_EQ(files.train(name, {"--steps", "6", "--stop-after", "3"}).exit_code, 0);
    const std::string file = path(name + ".npy"), kept = read_file(file);
    reverse_rows(name + ".npy");
    expect_refused(resume("train", name), {name + ": expected the rows that the run began with"});
    write_file(file, kept);
    EXPECT_EQ(resume("train", name).exit_code, 0);
  }
}

TEST_F(TrustProgram, ASweepRefusesOtherRows) {
  const auto sweep = [&](const std::vector<std::string>& more) {
    std::vector<std::string> options = {
        "--vary",        "divergence_weight=0,3", "--steps",      "2",
        "--test-images", path("val_images.npy"),  "--test-texts", path("val_texts.npy")};
    options.insert(options.end(), more.begin(), more.end());
    return files.command("sweep", "sweep", options);
  };
  ASSERT_EQ(sweep({"--stop-after-runs", "1"}).exit_code, 0);
  const std::string kept = read_file(path("texts.npy"));
  reverse_rows("texts.npy");
  expect_refused(resume("sweep", "sweep"),
                 {"sweep.json: texts: expected the rows that the sweep began with"});
  write_file(path("texts.npy"), kept);
  EXPECT_EQ(resume("sweep", "sweep").exit_code, 0);
}

TEST_F(TrustProgram, DamagedMetricsAndResultsAreFound) {
  ASSERT_EQ(files.train("run", {"--steps", "30", "--stop-after", "20"}).exit_code, 0);
  const std::string metrics = read_file(path("run/metrics.jsonl"));
  const size_t seconds = metrics.find("\"seconds\"");
  const auto first_line = [](const std::string& text) {
    return nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  };
  int refused = 0;
  for (size_t at = 0; at < seconds; at += 7) {
    std::string damaged = metrics;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    // The last of 17 digits need not change a number.
    if (first_line(damaged) == first_line(metrics)) continue;
    write_file(path("run/metrics.jsonl"), damaged);
    const ProgramResult result = resume("train", "run");
    EXPECT_EQ(result.exit_code, 2) << at << ": " << result.out;
    EXPECT_CONTAINS(result.err, path("run/metrics.jsonl"));
    ++refused;
  }
  EXPECT_GT(refused, 20);
  write_file(path("run/metrics.jsonl"), R"({"type": "song", "step": 1})"
                                        "\n" +
                                            metrics);
  expect_refused(resume("train", "run"),
                 {"run/metrics.jsonl: line 1: type: expected step or validation, found \"song\""});
  std::filesystem::remove(path("run/metrics.jsonl"));
  EXPECT_EQ(resume("train", "run").exit_code, 0) << "as the message says";

  ASSERT_EQ(files
                .command("sweep", "sweep",
                         {"--vary", "divergence_weight=0,3", "--steps", "2", "--stop-after-runs", "1"})
                .exit_code,
            0);
  std::string results = read_file(path("sweep/sweep.json"));
  const size_t digit = results.find("\"mean_r1\": 0.") + 13;
  results[digit] = results[digit] == '1' ? '2' : '1';
  write_file(path("sweep/sweep.json"), results);
  expect_refused(resume("sweep", "sweep"), {"sweep.json: damaged or edited"});
}

TEST_F(TrustProgram, EmbeddedRowsAreFinite) {
  ASSERT_EQ(files.train("run", {"--steps", "1", "--hubness-bank", "0"}).exit_code, 0);
  // Finite weights with products that are not, in a file of the first format.
  const SafetensorsFile model = SafetensorsFile::open(path("run/model.safetensors"));
  std::vector<std::vector<float>> kept;
  SafetensorsWriter writer;
  for (const std::string& name : model.names()) {
    if (model.type(name) != ElementType::kFloat32) continue;
    kept.push_back(model.read_float(name));
    if (name == "image_head.0.weight") std::fill(kept.back().begin(), kept.back().end(), 3e38f);
    writer.add(name, model.shape(name), kept.back().data());
  }
  for (const auto& [key, value] : model.metadata())
    if (key != "checksums") writer.set_metadata(key, value);
  writer.set_metadata("format", "sotalign-model-1");
  writer.write(path("wild.safetensors"));
  const ProgramResult result = run_program({"embed", "--model", path("wild.safetensors"), "--side", "image",
                                            "--input", path("images.npy"), "--output", path("out.npy")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_CONTAINS(result.err, "images.npy: row ");
  EXPECT_FALSE(std::filesystem::exists(path("out.npy")));
}

/// A study reads its mapped files at the start of each run. After the first run the file is truncated, or
/// overwritten in place.
TEST_F(TrustProgram, FilesThatChangeDuringAStudy) {
  write_file(path("plan.json"),
             R"({"set": {"steps": 2000}, "methods": [{"name": "SAIL", "set": {"method": "sail"}}],
    "sections": {"shift": {"pairs": 10, "method": "SAIL", "without": "SAIL", "pools": ["same"]}}})");
  files.write("study_texts.npy", TrainingFiles::kImages, TrainingFiles::kTextDim, 2, 7);
  const std::string images = path("images.npy"), kept = read_file(images);
  for (const bool shorten : {true, false}) {
    const std::string out = shorten ? "shortened" : "written";
    const ProgramResult result =
        run_program({"study",
                     "--images",
                     images,
                     "--texts",
                     path("study_texts.npy"),
                     "--test",
                     "10",
                     "--plan",
                     path("plan.json"),
                     "--validation",
                     "10",
                     "--out",
                     path(out),
                     "--sections",
                     "shift",
                     "--seeds",
                     "0,1,2,3",
                     "--threads",
                     "1",
                     "--quiet"},
                    [&](pid_t) {
                      const auto runs = [&] {
                        const Json json = Json::parse(read_file(path(out + "/study.json")), nullptr, false);
                        return json.is_object() ? json["runs"].size() : 0;
                      };
                      for (int i = 0; i < 6000 && runs() == 0; ++i)
                        std::this_thread::sleep_for(std::chrono::milliseconds(5));
                      if (shorten)
                        std::filesystem::resize_file(images, 0);
                      else  // without truncation
                        std::fstream(images, std::ios::in | std::ios::out | std::ios::binary) << kept;
                    });
    expect_refused(result, {images, shorten ? "shortened" : "changed while it was in use"});
    write_file(images, kept);
    EXPECT_EQ(resume("study", out).exit_code, 0) << "the runs that were done are kept";
  }
}

}  // namespace program_trust_test
}  // namespace sotalign::testing
