// The commands zeroshot, similarity, shift and eval as users see them: results, files, and refused input.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_evaluation_test {

using Json = nlohmann::json;

class EvaluationProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }

  ProgramResult run(const std::vector<std::string>& arguments) {
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
  Json json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", "-"});
    return Json::parse(run(arguments).out);
  }

  void expect_refused(std::vector<std::string> arguments, const std::vector<std::string>& parts) {
    arguments.insert(arguments.end(), {"--json", path("refused.json")});
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("sotalign " + arguments[0] + ": "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(std::filesystem::exists(path("refused.json")));
  }

  void write_matrix(const std::string& name, int64_t cols, const std::vector<float>& values) const {
    write_npy(path(name), ConstMatrixF(values.data(), static_cast<int64_t>(values.size()) / cols, cols));
  }

  std::vector<std::string> zeroshot(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"zeroshot",    "--images",         path("i.npy"),
                                          "--labels",    path("l.npy"),      "--prompts",
                                          path("p.npy"), "--prompt-classes", path("c.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  void SetUp() override {
    // Four images, the last one nearest to a wrong class; class 7 has two prompts.
    write_matrix("i.npy", 2, {1, 0, 0, 2, 1, 0.1f, 1, 0.1f});
    write_npy(path("l.npy"), std::vector<int64_t>{3, 7, 3, 7});
    write_matrix("p.npy", 2, {5, 0, -0.1f, 1, 0.1f, 1});
    write_npy(path("c.npy"), std::vector<int64_t>{3, 7, 7});
    files.write("val_others.npy", TrainingFiles::kValidation, TrainingFiles::kTextDim, 99, 98);
  }

  TrainingFiles files;
};

TEST_F(EvaluationProgram, HelpTellsTheOptions) {
  for (const char* command : {"zeroshot", "similarity", "shift"}) {
    const std::string help = run({command, "--help"}).out;
    EXPECT_CONTAINS(help, "Example:");
    EXPECT_CONTAINS(help, "--json");
    EXPECT_CONTAINS(run({"--help"}).out, command);
  }
}

TEST_F(EvaluationProgram, ZeroShot) {
  const std::string line = run(zeroshot({"--json", path("z.json")})).out;
  EXPECT_EQ(
      line,
      "4 images, 2 classes, 3 prompts: top-1 75.0 %, top-5 100.0 %; top-1 averaged over classes 75.0 %\n");
  const Json result = json(zeroshot());
  EXPECT_EQ(result, Json::parse(read_file(path("z.json"))));
  EXPECT_EQ(result,
            Json::parse(R"({"top1": 0.75, "top5": 1.0, "mean_class_top1": 0.75, "images": 4, "classes": [
      {"id": 3, "images": 2, "top1": 2, "top5": 2}, {"id": 7, "images": 2, "top1": 1, "top5": 2}]})"));
  EXPECT_EQ(run(zeroshot({"--quiet"})).out, "");
}

TEST_F(EvaluationProgram, ZeroShotOfAModelIsThatOfItsEmbeddings) {
  ASSERT_EQ(files.train("run", {"--steps", "3"}).exit_code, 0);
  const std::string model = path("run/model.safetensors");
  std::vector<int64_t> labels, classes;
  for (int64_t i = 0; i < TrainingFiles::kValidation; ++i) labels.push_back(i % 7), classes.push_back(i % 7);
  write_npy(path("l.npy"), labels);
  write_npy(path("c.npy"), classes);
  for (const std::string projection : {"heads", "teacher"}) {
    for (const std::string side : {"image", "text"})
      run({"embed", "--model", model, "--side", side, "--input", path("val_" + side + "s.npy"), "--output",
           path(side + ".npy"), "--projection", projection});
    const std::vector<std::string> tail = {"--labels", path("l.npy"), "--prompt-classes", path("c.npy")};
    std::vector<std::string> ours = {"zeroshot",
                                     "--model",
                                     model,
                                     "--projection",
                                     projection,
                                     "--images",
                                     path("val_images.npy"),
                                     "--prompts",
                                     path("val_texts.npy")},
                             theirs = {"zeroshot", "--images", path("image.npy"), "--prompts",
                                       path("text.npy")};
    ours.insert(ours.end(), tail.begin(), tail.end());
    theirs.insert(theirs.end(), tail.begin(), tail.end());
    EXPECT_EQ(json(ours), json(theirs));
    // The teacher maps pairs close to each other; the heads do not after three steps.
    if (projection == "teacher") {
      EXPECT_GT(json(ours)["top1"], 2.0 / 7);
    }
  }
}

TEST_F(EvaluationProgram, Similarity) {
  const std::string x = path("val_images.npy"), y = path("val_texts.npy");
  const Json same = json({"similarity", "--x", x, "--y", x, "--k", "3"});
  EXPECT_EQ(same["mutual_knn"], 1.0);
  EXPECT_NEAR(same["cka"], 1.0, 1e-12);
  EXPECT_NEAR(same["cka_unbiased"], 1.0, 1e-12);
  const Json related = json({"similarity", "--x", x, "--y", y}),
             unrelated = json({"similarity", "--x", x, "--y", path("val_others.npy")});
  EXPECT_EQ(related["k"], 10);
  EXPECT_EQ(related["n"], TrainingFiles::kValidation);
  EXPECT_NEAR(related["mutual_knn_by_chance"], 10.0 / 19, 1e-12);
  for (const char* measure : {"mutual_knn", "cka", "cka_unbiased"})
    EXPECT_GT(related[measure].get<double>(), unrelated[measure].get<double>() + 0.05) << measure;
  EXPECT_NE(json({"similarity", "--x", x, "--y", y, "--k", "4"})["mutual_knn"], related["mutual_knn"]);
  const std::string line = run({"similarity", "--x", x, "--y", y, "--json", path("s.json")}).out;
  EXPECT_CONTAINS(line, "20 rows of 12 and 9 dimensions: mutual 10-NN 0.");
  EXPECT_CONTAINS(line, "CKA 0.");
  EXPECT_EQ(Json::parse(read_file(path("s.json"))), related);
}

TEST_F(EvaluationProgram, Shift) {
  std::vector<std::string> images = {"shift", "--images", path("images.npy"), "--other-images",
                                     path("val_images.npy")},
                           texts = {"shift", "--texts", path("texts.npy"), "--other-texts",
                                    path("val_texts.npy")};
  std::vector<std::string> both = images;
  both.insert(both.end(), texts.begin() + 1, texts.end());
  const Json result = json(both);
  EXPECT_EQ(result["projections"], 500);
  const double image_side = result["images"]["distance"], text_side = result["texts"]["distance"];
  EXPECT_NEAR(result["sum"], image_side + text_side, 1e-15);
  EXPECT_EQ(json(images)["images"], result["images"]);
  EXPECT_EQ(json(texts)["texts"], result["texts"]);
  EXPECT_FALSE(json(texts).contains("sum"));
  EXPECT_EQ(json({"shift", "--images", path("images.npy"), "--other-images",
                  path("images.npy")})["images"]["distance"],
            0.0);
  both.insert(both.end(), {"--projections", "50", "--seed", "4"});
  const Json other = json(both);
  EXPECT_NE(other["sum"], result["sum"]);
  EXPECT_NEAR(other["images"]["distance"], image_side, 5 * other["images"]["standard_error"].get<double>());
  for (const char* threads : {"1", "3"}) {
    std::vector<std::string> with = both;
    with.insert(with.end(), {"--threads", threads, "--force-threads"});
    EXPECT_EQ(json(with)["images"], other["images"]);
  }
  const std::string line = run(both).out;
  EXPECT_TRUE(line.starts_with("spherical sliced Wasserstein: images 0.")) << line;
  EXPECT_CONTAINS(line, ", sum 0.");
  EXPECT_TRUE(line.ends_with(", 50 projections\n")) << line;
}

TEST_F(EvaluationProgram, ZeroShotRefuses) {
  expect_refused({"zeroshot"}, {"--images"});
  expect_refused(
      {"zeroshot", "--images", path("i.npy"), "--labels", path("l.npy"), "--prompts", path("p.npy")},
      {"--prompt-classes"});
  write_npy(path("short.npy"), std::vector<int64_t>{3, 7});
  expect_refused(zeroshot({"--labels", path("short.npy")}), {"short.npy", "expected 4 ids", "found 2"});
  expect_refused(zeroshot({"--prompt-classes", path("short.npy")}), {"expected 3 ids", path("p.npy")});
  expect_refused(zeroshot({"--labels", path("i.npy")}), {"i.npy"});  // real numbers
  write_npy(path("wrong.npy"), std::vector<int64_t>{3, 7, 3, -1});
  expect_refused(zeroshot({"--labels", path("wrong.npy")}), {"image 3", "label -1"});
  expect_refused(zeroshot({"--prompts", path("texts.npy")}), {"texts.npy", "found 3"});
  write_matrix("wide.npy", 3, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  expect_refused(zeroshot({"--prompts", path("wide.npy")}), {"wide.npy", "expected 2 columns", "found 3"});
  write_matrix("cancel.npy", 2, {5, 0, 0, 1, 0, -1});
  expect_refused(zeroshot({"--prompts", path("cancel.npy")}), {"class 7", "cancel"});
}

TEST_F(EvaluationProgram, SimilarityRefuses) {
  const std::string x = path("val_images.npy");
  expect_refused({"similarity", "--x", x}, {"--y"});
  expect_refused({"similarity", "--x", x, "--y", path("images.npy")}, {x, path("images.npy"), "20 and 60"});
  expect_refused({"similarity", "--x", x, "--y", x, "--k", "20"}, {"--k", "1 to 19", "found 20"});
  expect_refused({"similarity", "--x", x, "--y", x, "--k", "0"}, {"--k", "found 0"});
  write_matrix("equal.npy", 1, std::vector<float>(20, 2.0f));
  expect_refused({"similarity", "--x", x, "--y", path("equal.npy")}, {"y", "20 equal ones"});
  expect_refused({"similarity", "--x", x, "--y", path("nowhere.npy")}, {"nowhere.npy"});
}

TEST_F(EvaluationProgram, ShiftRefuses) {
  const std::string x = path("images.npy");
  expect_refused({"shift"}, {"--images"});
  expect_refused({"shift", "--images", x}, {"--other-images"});
  expect_refused({"shift", "--other-texts", x}, {"--texts is required with --other-texts"});
  expect_refused({"shift", "--images", x, "--other-images", x, "--texts", x}, {"--other-texts"});
  expect_refused({"shift", "--images", x, "--other-images", path("texts.npy")},
                 {path("texts.npy"), "expected 12 columns", "found 9"});
  expect_refused({"shift", "--images", x, "--other-images", x, "--projections", "1"},
                 {"--projections", "at least 2", "found 1"});
  expect_refused({"shift", "--images", x, "--other-images", x, "--seed", "-1"}, {"seed"});
}

/// A run of TrainingFiles, whose heads are poor, and its evaluation on the validation rows.
class EvalIntervals : public EvaluationProgram {
 protected:
  void SetUp() override {
    EvaluationProgram::SetUp();
    ASSERT_EQ(files.train("run", {"--steps", "3", "--initialization", "random"}).exit_code, 0);
  }
  std::vector<std::string> eval(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"eval",
                                          "--model",
                                          path("run/model.safetensors"),
                                          "--images",
                                          path("val_images.npy"),
                                          "--texts",
                                          path("val_texts.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static double number(const Json& json, const std::string& pointer) {
    return json.at(Json::json_pointer(pointer)).get<double>();
  }

  const std::vector<std::string> figures = {"/image_to_text/r1",  "/image_to_text/r5",
                                            "/image_to_text/r10", "/image_to_text/mean_reciprocal_rank",
                                            "/text_to_image/r1",  "/text_to_image/r5",
                                            "/text_to_image/r10", "/text_to_image/mean_reciprocal_rank",
                                            "/mean_r1",           "/mean_reciprocal_rank"};
};

TEST_F(EvalIntervals, EveryFigureHasOne) {
  const Json result = json(eval());
  const Json intervals = result["intervals"];
  for (const std::string& figure : figures) {
    EXPECT_LE(number(intervals, figure + "/0"), number(result, figure)) << figure;
    EXPECT_GE(number(intervals, figure + "/1"), number(result, figure)) << figure;
  }
  EXPECT_LT(number(intervals, "/mean_r1/0"), number(intervals, "/mean_r1/1"));
  EXPECT_EQ(intervals["level"], 0.95);
  EXPECT_EQ(intervals["items"], TrainingFiles::kValidation);
  EXPECT_EQ(intervals["resamples"], 1000);
  EXPECT_EQ(intervals["seed"], 0);
  EXPECT_EQ(json(eval()), result);
  const Json other = json(eval({"--bootstrap-seed", "9", "--resamples", "50"}));
  EXPECT_NE(other["intervals"]["mean_reciprocal_rank"], intervals["mean_reciprocal_rank"]);
  EXPECT_EQ(other["intervals"]["resamples"], 50);
  EXPECT_EQ(other["mean_r1"], result["mean_r1"]);
}

TEST_F(EvalIntervals, TheTableHasThem) {
  write_matrix("rows.npy", 2, {1, 0, 0, 1, 1, 1});
  EXPECT_EQ(run({"eval", "--images", path("rows.npy"), "--texts", path("rows.npy")}).out,
            "3 images and 3 texts of 2 dimensions; recalls in percent; bootstrap intervals\n\n"
            "                       image to text                  text to image\n"
            "                     R@1   R@5  R@10  median        R@1   R@5  R@10  median  MeanR@1    MRR\n"
            "  as they are      100.0 100.0 100.0     1.0      100.0 100.0 100.0     1.0    100.0  1.000\n"
            "    95 % from      100.0 100.0 100.0              100.0 100.0 100.0            100.0  1.000\n"
            "           to      100.0 100.0 100.0              100.0 100.0 100.0            100.0  1.000\n");
}

TEST_F(EvalIntervals, AModelDoesNotDifferFromItself) {
  const std::string model = path("run/model.safetensors");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--against", model},
        std::vector<std::string>{"--against", "teacher", "--projection", "teacher"}}) {
    const Json against = json(eval(more))["against"];
    for (const std::string& figure : figures) {
      EXPECT_EQ(number(against["difference"], figure), 0) << figure;
      EXPECT_EQ(number(against["difference"]["intervals"], figure + "/0"), 0) << figure;
      EXPECT_EQ(number(against["difference"]["intervals"], figure + "/1"), 0) << figure;
    }
    EXPECT_EQ(against["difference"]["above_noise"], false);
    EXPECT_CONTAINS(run(eval(more)).out, ": MeanR@1 +0.0, from +0.0 to +0.0: within noise\n");
  }
}

TEST_F(EvalIntervals, AgainstTheTeacher) {
  const Json result = json(eval({"--against", "teacher"})), ours = json(eval()),
             theirs = json(eval({"--projection", "teacher"}));
  const Json against = result["against"], difference = against["difference"];
  EXPECT_EQ(against["name"], "teacher");
  for (const std::string& figure : figures) {
    EXPECT_EQ(number(result, figure), number(ours, figure)) << figure;
    EXPECT_EQ(number(against, figure), number(theirs, figure)) << figure;
    EXPECT_EQ(number(difference, figure), number(ours, figure) - number(theirs, figure)) << figure;
  }
  // After three steps the heads are far below the teacher.
  EXPECT_LT(number(difference, "/intervals/mean_r1/1"), 0);
  EXPECT_EQ(difference["above_noise"], true);
  const std::string out = run(eval({"--against", "teacher"})).out;
  EXPECT_CONTAINS(out, "\n  difference ");
  EXPECT_CONTAINS(out, "\nheads less teacher: MeanR@1 -");
  EXPECT_TRUE(out.ends_with(": above noise\n")) << out;
}

TEST_F(EvalIntervals, AgainstAnotherModel) {
  ASSERT_EQ(files.train("other", {"--steps", "20"}).exit_code, 0);
  const std::string other = path("other/model.safetensors");
  const Json result = json(eval({"--against", other}));
  std::vector<std::string> alone = eval();
  alone[2] = other;
  EXPECT_EQ(result["against"]["name"], other);
  for (const std::string& figure : figures)
    EXPECT_EQ(number(result["against"], figure), number(json(alone), figure)) << figure;
  EXPECT_CONTAINS(run(eval({"--against", other})).out, "heads less " + other + ": MeanR@1 ");
}

TEST_F(EvalIntervals, Refuses) {
  const std::string x = path("val_images.npy");
  expect_refused({"eval", "--images", x, "--texts", x, "--against", "teacher"}, {"--against", "--model"});
  expect_refused(eval({"--against", path("nowhere.safetensors")}), {"nowhere.safetensors"});
  expect_refused(eval({"--resamples", "38"}), {"--resamples: expected 39 to", "found 38"});
  expect_refused(eval({"--bootstrap-seed", "-1"}), {"--bootstrap-seed"});
}

TEST(Program, EvaluatesGroups) {
  const TrainingFiles files;
  write_npy(files / "ids.npy", std::vector<int64_t>(TrainingFiles::kValidation, 5));
  const ProgramResult result =
      run_program({"eval", "--images", files / "val_images.npy", "--texts", files / "val_images.npy",
                   "--image-ids", files / "ids.npy", "--text-ids", files / "ids.npy", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["mean_r1"], 1.0);
  EXPECT_EQ(json["intervals"]["items"], 1);  // all rows have one id
}

}  // namespace program_evaluation_test
}  // namespace sotalign::testing
