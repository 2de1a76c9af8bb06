// Bad input through the program: one line that says where, what was expected and what was found; exit code 2;
// nothing left behind.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_input_test {

std::set<std::string> listing(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    names.insert(entry.path());
  return names;
}

class ProgramInput : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }

  /// Expects the command to fail cleanly, with a message that contains all `parts`.
  void expect_refused(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const std::set<std::string> before = listing(files / "");
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("sotalign " + arguments[0] + ": "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_TRUE(result.err.ends_with('\n'));
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(listing(files / ""), before);
  }

  /// The same for train with other options or files.
  void expect_train_refused(const std::vector<std::string>& options, const std::vector<std::string>& parts) {
    std::vector<std::string> arguments = {"train"};
    for (const std::string name :
         {"pairs-images", "pairs-texts", "images", "texts", "val-images", "val-texts"}) {
      std::string file = name + ".npy";
      std::replace(file.begin(), file.end(), '-', '_');
      arguments.insert(arguments.end(), {"--" + name, path(file)});
    }
    arguments.insert(arguments.end(), {"--steps", "2", "--out", path("run")});
    arguments.insert(arguments.end(), options.begin(), options.end());
    expect_refused(arguments, parts);
  }

  /// The same for every command that reads embeddings or affinities.
  void expect_file_refused(const std::string& file, const std::vector<std::string>& parts) {
    std::vector<std::string> named = parts;
    named.push_back(path(file));
    for (const char* flag : {"--pairs-images", "--images", "--val-texts"})
      expect_train_refused({flag, path(file)}, named);
    expect_refused(
        {"klot", "--student", path("square.npy"), "--teacher", path(file), "--gradient", path("g.npy")},
        named);
    expect_refused({"sinkhorn", "--affinity", path(file), "--plan", path("plan.npy")}, named);
    expect_refused({"eval", "--images", path("images.npy"), "--texts", path(file), "--json", path("e.json")},
                   named);
    expect_refused({"teacher", "--pairs-images", path(file), "--pairs-texts", path("texts.npy"), "--out",
                    path("t.safetensors")},
                   named);
  }

  void write_matrix(const std::string& name, int64_t rows, int64_t cols,
                    const std::vector<float>& values) const {
    write_npy(files / name, ConstMatrixF(values.data(), rows, cols));
  }

  void SetUp() override { write_matrix("square.npy", 4, 4, random_uniform(16, 1)); }

  TrainingFiles files;
};

TEST_F(ProgramInput, MissingFile) { expect_file_refused("nowhere.npy", {"no such file"}); }

TEST_F(ProgramInput, WrongMagic) {
  write_file(path("text.npy"), "these are no numbers, only a text of some length");
  expect_file_refused("text.npy", {});
  write_file(path("nothing.npy"), "");
  expect_file_refused("nothing.npy", {});
}

TEST_F(ProgramInput, TruncatedFile) {
  const std::string bytes = read_file(path("images.npy"));
  write_file(path("cut.npy"), bytes.substr(0, bytes.size() - 5));
  expect_file_refused("cut.npy", {"truncated", "expected 2880 bytes", "found 2875"});
}

TEST_F(ProgramInput, WrongTypeAndOneDimension) {
  write_npy(path("integers.npy"), std::vector<int64_t>{1, 2, 3});
  expect_file_refused("integers.npy", {"expected float", "<i8"});
  std::string bytes = read_file(path("images.npy"));
  const size_t shape = bytes.find("(60, 12)");
  ASSERT_NE(shape, std::string::npos);
  write_file(path("vector.npy"), bytes.replace(shape, 8, "(720, ) "));
  expect_file_refused("vector.npy", {"720"});
}

TEST_F(ProgramInput, ValuesThatAreNotFinite) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    std::vector<float> values = random_normal(40 * 12, 3);
    values[17 * 12 + 4] = bad;
    write_matrix("bad.npy", 40, 12, values);
    expect_file_refused("bad.npy", {"row 17", "column 4"});
  }
}

TEST_F(ProgramInput, RowsOfZerosAndNoRows) {
  std::vector<float> values = random_normal(40 * 12, 3);
  for (int64_t j = 0; j < 12; ++j) values[static_cast<size_t>(23 * 12 + j)] = 0;
  write_matrix("zeros.npy", 40, 12, values);
  expect_train_refused({"--pairs-images", path("zeros.npy")}, {"zeros.npy", "row 23"});
  expect_train_refused({"--images", path("zeros.npy")}, {"zeros.npy", "row 23"});
  expect_refused({"eval", "--images", path("zeros.npy"), "--texts", path("pairs_images.npy")}, {"row 23"});
  write_matrix("empty.npy", 0, 12, {});
  expect_file_refused("empty.npy", {"0"});
}

TEST_F(ProgramInput, CountsThatDiffer) {
  files.write("pairs_texts_39.npy", 39, TrainingFiles::kTextDim, 1, 2);
  expect_train_refused({"--pairs-texts", path("pairs_texts_39.npy")},
                       {path("pairs_images.npy"), path("pairs_texts_39.npy"), "40 and 39"});
  expect_train_refused({"--val-texts", path("pairs_texts.npy")}, {"20 and 40"});
  expect_refused({"eval", "--images", path("images.npy"), "--texts", path("pairs_images.npy")},
                 {"60 and 40"});
  write_npy(path("ids.npy"), std::vector<int64_t>{1, 2, 3});
  expect_refused({"eval", "--images", path("images.npy"), "--texts", path("images.npy"), "--image-ids",
                  path("ids.npy"), "--text-ids", path("ids.npy")},
                 {"expected 60 ids", "found 3"});
  files.write("one_i.npy", 1, TrainingFiles::kImageDim, 1, 1);
  files.write("one_t.npy", 1, TrainingFiles::kTextDim, 1, 2);
  expect_train_refused({"--pairs-images", path("one_i.npy"), "--pairs-texts", path("one_t.npy")},
                       {"at least 2", "found 1"});
}

TEST_F(ProgramInput, DimensionsThatDiffer) {
  expect_train_refused({"--images", path("texts.npy")},
                       {path("texts.npy"), "expected 12 columns", "found 9"});
  expect_train_refused({"--texts", path("images.npy")},
                       {path("images.npy"), "expected 9 columns", "found 12"});
  expect_train_refused({"--val-images", path("val_texts.npy")}, {"expected 12 columns", "found 9"});
  expect_refused(
      {"klot", "--student", path("square.npy"), "--teacher", path("images.npy"), "--gradient", path("g.npy")},
      {"expected shape [4, 4]", "found [60, 12]", path("square.npy")});
  expect_refused({"eval", "--images", path("val_images.npy"), "--texts", path("val_texts.npy")},
                 {"expected 12", "found 9"});

  ASSERT_EQ(files.train("run0", {"--steps", "1"}).exit_code, 0);
  const std::string model = path("run0/model.safetensors");
  expect_refused(
      {"embed", "--model", model, "--side", "image", "--input", path("texts.npy"), "--output", path("y.npy")},
      {path("texts.npy"), "expected 12 columns", "found 9"});
  expect_refused({"eval", "--model", model, "--images", path("val_images.npy"), "--texts",
                  path("val_images.npy"), "--json", path("e.json")},
                 {path("val_images.npy"), "expected 9 columns", "found 12"});
}

TEST_F(ProgramInput, ValuesOutOfRange) {
  expect_train_refused({"--teacher-dim", "10"}, {"10", "9"});
  const std::vector<std::pair<std::string, std::string>> cases = {{"--epsilon-student", "0"},
                                                                  {"--epsilon-teacher", "-0.5"},
                                                                  {"--epsilon-student", "nan"},
                                                                  {"--iterations", "0"},
                                                                  {"--check-every", "0"},
                                                                  {"--tolerance", "-1"},
                                                                  {"--steps", "0"},
                                                                  {"--dim", "-1"},
                                                                  {"--hidden", "4,0"},
                                                                  {"--ridge", "-1"},
                                                                  {"--learning-rate", "-1"},
                                                                  {"--warmup-steps", "3"},
                                                                  {"--final-fraction", "2"},
                                                                  {"--beta1", "1"},
                                                                  {"--beta2", "-1"},
                                                                  {"--weight-decay", "-1"},
                                                                  {"--batch-pairs", "0"},
                                                                  {"--batch-unpaired", "0"},
                                                                  {"--divergence-weight", "-1"},
                                                                  {"--method", "clip"},
                                                                  {"--structure-weight", "-1"},
                                                                  {"--structure-temperature", "0"},
                                                                  {"--structure-warmup-steps", "-1"},
                                                                  {"--sclip-weight", "-1"},
                                                                  {"--sclip-labels", "fuzzy"},
                                                                  {"--sclip-epsilon", "0"},
                                                                  {"--nnclr-image-weight", "-1"},
                                                                  {"--nnclr-text-weight", "nan"},
                                                                  {"--affinity-memory-mib", "-1"},
                                                                  {"--affinity-memory-mib", "2e9"},
                                                                  {"--affinity-memory", "disk"},
                                                                  {"--validate-every", "-1"},
                                                                  {"--log-every", "0"},
                                                                  {"--checkpoint-every", "-1"},
                                                                  {"--threads", "-1"},
                                                                  {"--device", "cuda:99"},
                                                                  {"--device", "abacus"},
                                                                  {"--teacher-dim", "-1"},
                                                                  {"--correlation-power", "-1"},
                                                                  {"--seed", "-1"},
                                                                  {"--adam-epsilon", "-1"},
                                                                  {"--teacher", "oracle"},
                                                                  {"--ridge", "automatic"},
                                                                  {"--ridge", "nan"},
                                                                  {"--teacher-dim", "2.5"},
                                                                  {"--teacher-dim", "best"},
                                                                  {"--correlation-power", "x"},
                                                                  {"--optimizer", "sgd"},
                                                                  {"--activation", "step"},
                                                                  {"--steps", "many"},
                                                                  {"--steps", "1.5"},
                                                                  {"--hidden", "4,x"},
                                                                  {"--symmetrize", "maybe"}};
  for (const auto& [flag, value] : cases) {
    SCOPED_TRACE(flag + " " + value);
    expect_train_refused({flag, value}, {"expected"});
  }
  expect_train_refused({"--teacher", "contrastive", "--teacher-steps", "0"},
                       {"steps", "at least 1, found 0"});
  expect_train_refused({"--teacher", "contrastive", "--teacher-batch", "0"},
                       {"batch", "at least 1, found 0"});
  expect_train_refused({"--teacher", "contrastive", "--teacher-learning-rate", "0"},
                       {"learning rate", "> 0"});
  expect_train_refused({"--teacher", "contrastive", "--teacher-dim", "auto"}, {"dim: expected a number"});
  expect_train_refused({"--method", "structure", "--structure-warmup-steps", "3"}, {"all steps", "found 3"});
  expect_refused(
      {"klot", "--student", path("square.npy"), "--teacher", path("square.npy"), "--epsilon-student", "0"},
      {"--epsilon-student", "> 0", "found 0"});
  expect_refused({"sinkhorn", "--affinity", path("square.npy"), "--relaxation", "2"}, {"relaxation", "2"});
  expect_refused({"sinkhorn", "--affinity", path("square.npy"), "--sinkhorn-form", "log_domain",
                  "--sinkhorn-storage", "ladder"},
                 {"storage"});
  expect_refused({"sinkhorn", "--affinity", path("square.npy"), "--epsilon", "0"},
                 {"epsilon", "> 0", "found 0"});
  expect_refused({"sinkhorn", "--affinity", path("square.npy"), "--repeat", "0"},
                 {"--repeat", ">= 1", "found 0"});
  expect_refused({"klot", "--student", path("square.npy"), "--teacher", path("square.npy"), "--repeat", "-2"},
                 {"--repeat", ">= 1", "found -2"});
}

TEST_F(ProgramInput, Divergences) {
  const auto refused = [&](const std::vector<std::string>& more, const std::vector<std::string>& parts) {
    std::vector<std::string> arguments = {"divergence",       "--student",  path("square.npy"), "--teacher",
                                          path("square.npy"), "--gradient", path("g.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refused(arguments, parts);
    EXPECT_FALSE(std::filesystem::exists(path("g.npy")));
  };
  refused({"--kind", "jensen"}, {"--kind", "klot or infonce or cka", "'jensen'"});
  refused({"--kind", "infonce", "--iterations", "5"},
          {"--iterations", "no effect on infonce, which takes --epsilon-student"});
  refused({"--kind", "cka", "--epsilon-teacher", "0.1"},
          {"--epsilon-teacher", "no effect on cka, which takes no options"});
  refused({"--kind", "infonce", "--epsilon-teacher", "0"}, {"--epsilon-teacher", "> 0", "found 0"});
  refused({"--teacher", path("images.npy")}, {path("images.npy"), "expected shape [4, 4]"});
  expect_train_refused({"--divergence", "infonce", "--affinity-memory", "streamed"},
                       {"affinity_memory", "infonce", "streamed"});
}

TEST_F(ProgramInput, Methods) {
  expect_train_refused({"--method", "clip"}, {"--method", "sotalign or sail or sail_semi", "'clip'"});
  expect_train_refused({"--method", "nnclr", "--nnclr-neighbours", "51"}, {"1 to 50 (unpaired texts)", "51"});
  expect_train_refused({"--method", "nnclr", "--nnclr-neighbours", "0"}, {"1 to 60", "found 0"});
  for (const char* method : {"sotalign", "sail_semi", "structure_semi", "nnclr", "sclip"}) {
    expect_train_refused({"--method", method, "--images", ""}, {"--images is required"});
    expect_train_refused({"--method", method, "--texts", ""}, {"--texts is required"});
  }
  expect_refused({"compare", "--images", path("images.npy"), "--texts", path("images.npy"), "--pairs", "10",
                  "--test", "10", "--method", "sail"},
                 {"method", "found sail"});
}

TEST_F(ProgramInput, Weights) {
  const auto refused = [&](const std::vector<float>& weights, int64_t rows, int64_t cols,
                           const std::string& part) {
    write_matrix("w.npy", rows, cols, weights);
    expect_refused(
        {"sinkhorn", "--affinity", path("square.npy"), "--a", path("w.npy"), "--plan", path("p.npy")},
        {part});
  };
  refused({1, 1, 1}, 3, 1, "expected 4 weights, found 3");
  refused({1, -1, 1, 1}, 4, 1, "-1");
  refused({0, 0, 0, 0}, 1, 4, "");
  refused({1, 1, 1, 1}, 2, 2, "[2, 2]");
  refused({1, NAN, 1, 1}, 1, 4, "entry 1");
}

TEST_F(ProgramInput, OutputThatCannotBeWritten) {
  ASSERT_TRUE(std::filesystem::create_directory(path("there")));
  write_file(path("there/notes.txt"), "mine");
  expect_train_refused({"--out", path("there")}, {path("there"), "new or empty", "notes.txt"});
  expect_train_refused({"--out", path("images.npy")},
                       {"expected a directory that is new or empty, found a file"});
  expect_train_refused({"--out", path("images.npy/run")}, {path("images.npy/run"), "expected a directory"});
  expect_train_refused({"--out", "/proc/run"}, {"/proc/run"});
  expect_refused({"klot", "--student", path("square.npy"), "--teacher", path("square.npy"), "--gradient",
                  path("images.npy/g.npy")},
                 {path("images.npy/g.npy")});
  expect_refused({"sinkhorn", "--affinity", path("square.npy"), "--plan", "/proc/plan.npy"},
                 {"/proc/plan.npy"});
}

TEST_F(ProgramInput, Configuration) {
  const auto refused = [&](const std::string& json, const std::vector<std::string>& parts) {
    SCOPED_TRACE(json);
    write_file(path("c.json"), json);
    std::vector<std::string> all = parts;
    all.push_back(path("c.json"));
    expect_train_refused({"--config", path("c.json")}, all);
  };
  refused(R"({"divergence_wieght": 3})", {"divergence_wieght", "'divergence_weight'"});
  refused(R"({"learning-rate": 3})", {"'learning_rate'"});
  refused(R"({"divergence_weight": "3"})",
          {"divergence_weight", "expected a finite number", "\"3\"", "string"});
  refused(R"({"iterations": 3.5})", {"iterations", "an integer", "3.5"});
  refused(R"({"tolerance": 1e400})", {"double precision"});
  refused(R"({"hidden": 512})", {"hidden", "list of integers"});
  refused(R"({"hidden": [5, "x"]})", {"hidden", "list of integers"});
  refused(R"({"symmetrize": "true"})", {"symmetrize", "true or false"});
  refused(R"({"teacher": "oracle"})", {"teacher", "cca or procrustes or contrastive", "oracle"});
  refused(R"({"ridge": "automatic"})", {"ridge", "auto or a finite number", "automatic"});
  refused(R"({"ridge": null})", {"ridge", "auto or a finite number", "null"});
  refused(R"({"teacher_dim": 1.5})", {"teacher_dim", "auto or an integer", "1.5"});
  refused(R"({"steps": "x"})", {"steps"});  // even if a flag overrides the key
  refused("[1, 2]", {"object", "array"});
  refused("{\n\"steps\": 3,\n}", {"line 3"});
  refused("", {"line 1"});
  expect_train_refused({"--config", path("absent.json")}, {path("absent.json")});
  expect_train_refused({"--config", path("")}, {});
}

TEST_F(ProgramInput, CommandLine) {
  expect_train_refused({"--divergence-wieght", "3"}, {"--divergence-wieght", "--divergence-weight"});
  expect_train_refused({"--steps"}, {"--steps"});
  expect_train_refused({"extra"}, {"extra"});
  expect_train_refused({"--resume"}, {"--resume"});
  expect_refused({"train", "--out", path("absent"), "--resume"}, {path("absent")});
  expect_refused({"embed", "--model", "m", "--input", "x", "--output", "y"}, {"--side is required"});
  expect_refused({"embed", "--side", "image", "--model", path("images.npy"), "--input", path("images.npy"),
                  "--output", path("y.npy")},
                 {path("images.npy")});
  expect_refused({"klot"}, {"--student"});
  const ProgramResult unknown = run_program({"trian"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_CONTAINS(unknown.err, "'train'");
  EXPECT_EQ(run_program({}).exit_code, 2);
}

TEST_F(ProgramInput, ResumingAnotherTraining) {
  ASSERT_EQ(files.train("run0", {"--steps", "4", "--stop-after", "2"}).exit_code, 0);
  expect_refused({"train", "--out", path("run0"), "--resume", "--steps", "9"}, {"--steps", "config.json"});
  expect_refused({"train", "--out", path("run0"), "--resume", "--stop-after", "2"}, {"--stop-after", "2"});
  files.write("images.npy", TrainingFiles::kImages, TrainingFiles::kImageDim, 9, 9);
  const ProgramResult result = run_program({"train", "--out", path("run0"), "--resume"});
  EXPECT_EQ(result.exit_code, 2) << "other data: " << result.out;
}

}  // namespace program_input_test
}  // namespace sotalign::testing
