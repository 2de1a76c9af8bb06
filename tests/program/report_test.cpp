// report.html and metrics.csv of train, and the pages of sweep and study, as users find them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sotalign/io/embeddings.h"
#include "support/csv.h"
#include "support/json_lines.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_report_test {

using Json = nlohmann::json;
namespace fs = std::filesystem;

size_t occurrences(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The <figure> element with this id, or "" if the page lacks it.
std::string figure(const std::string& page, const std::string& id) {
  const size_t first = page.find("<figure id=\"" + id + "\">");
  if (first == std::string::npos) return "";
  return page.substr(first, page.find("</figure>", first) - first);
}

/// Whether the page stands alone: one document, no script, no other file, and no SVG but within figures.
void expect_self_contained(const std::string& page) {
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</body>\n</html>\n"));
  for (const char* word : {"<script", "<link", "<iframe", "@import", "url(", "https:", "srcset"})
    EXPECT_EQ(page.find(word), std::string::npos) << word;
  EXPECT_EQ(occurrences(page, "http:"), occurrences(page, "xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(occurrences(page, " src="), occurrences(page, " src=\"data:image/"));
  EXPECT_EQ(occurrences(page, "href="), occurrences(page, "href=\"#"));
  EXPECT_EQ(occurrences(page, "<svg"), occurrences(page, "<figure"));
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

class ReportProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }
  std::string page(const std::string& run) const { return read_file(path(run + "/report.html")); }

  std::string trained(const std::string& run, const std::vector<std::string>& options) const {
    const ProgramResult result = files.train(run, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string text = page(run);
    expect_self_contained(text);
    return text;
  }

  void expect_refused(const std::string& run, const std::vector<std::string>& options,
                      const std::vector<std::string>& parts) const {
    const ProgramResult result = files.train(run, options);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(occurrences(result.err, "\n"), 1u) << result.err;
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(fs::exists(path(run)));
  }

  /// csv_rows() of metrics.csv.
  std::vector<std::map<std::string, std::string>> csv(const std::string& run) const {
    return csv_rows(path(run + "/metrics.csv"));
  }

  TrainingFiles files;
};

TEST_F(ReportProgram, ShowsTheWholeRun) {
  const std::string text = trained("run", {"--steps", "6", "--log-every", "2", "--validate-every", "3"});
  for (const char* id : {"loss", "siglip", "term-klot", "validation-mrr", "validation-recall",
                         "sinkhorn-error", "sinkhorn-iterations", "similarity-teacher", "similarity-model",
                         "projection-before", "projection-after"}) {
    EXPECT_NE(figure(text, id), "") << id;
    EXPECT_CONTAINS(figure(text, id), "<figcaption>");
  }
  EXPECT_EQ(occurrences(figure(text, "loss"), "<circle"), 3u);  // steps 2, 4, 6
  EXPECT_CONTAINS(figure(text, "loss"), "<title>2: ");
  EXPECT_CONTAINS(figure(text, "validation-mrr"), "<title>model, 3: ");
  EXPECT_CONTAINS(text, "Of all 20 validation pairs");
  for (const char* phase :
       {"reading data", "fitting the teacher", "training steps", "validation", "saving", "this page"})
    EXPECT_CONTAINS(text, std::string("<span>") + phase + "</span>");
  EXPECT_CONTAINS(text, "<dt>divergence_weight</dt><dd>30");
  const Json summary = Json::parse(read_file(path("run/summary.json")));
  for (const char* model : {"validation", "validation_teacher"}) {
    char cell[32];
    std::snprintf(cell, sizeof cell, ">%.1f</td>",
                  100 * summary[model]["mean_reciprocal_rank"].get<double>());
    EXPECT_CONTAINS(text, cell);
  }
  EXPECT_CONTAINS(read_file(path("run/config.json")), "\"val_captions\": \"\"");
}

TEST_F(ReportProgram, ShowsWhatTheModelDoes) {
  const std::string text = trained("run", {"--steps", "3"});
  const auto embedded = [&](const std::string& side, const std::string& file) {
    EXPECT_EQ(run_program({"embed", "--model", path("run/model.safetensors"), "--side", side, "--input",
                           path(file), "--output", path("embedded.npy")})
                  .exit_code,
              0);
    return read_matrix(path("embedded.npy"));
  };
  const HostMatrix images = embedded("image", "val_images.npy"), texts = embedded("text", "val_texts.npy");
  const auto cosine = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < images.cols(); ++k)
      sum += double{images.view().row(i)[k]} * texts.view().row(j)[k];
    return sum;
  };
  double mean = 0;
  for (int64_t i = 0; i < images.rows(); ++i) mean += cosine(i, i) / static_cast<double>(images.rows());
  char words[80];
  std::snprintf(words, sizeof words, "The mean cosine of true pairs is %.2f, of random pairs", mean);
  EXPECT_CONTAINS(figure(text, "similarity-model"), words);

  // The queries are rows 0, 4, 8, 12 and 16; rows with the same scores do not occur.
  size_t right = 0;
  for (int64_t query = 0; query < 20; query += 4) {
    int64_t rank_of_image = 1, rank_of_text = 1;
    for (int64_t other = 0; other < 20; ++other) {
      rank_of_image += cosine(other, query) > cosine(query, query) ? 1 : 0;
      rank_of_text += cosine(query, other) > cosine(query, query) ? 1 : 0;
    }
    right += (rank_of_image <= 5 ? 1u : 0u) + (rank_of_text <= 5 ? 1u : 0u);
    for (const auto& [side, other, rank] :
         {std::tuple{"text", "image", rank_of_image}, std::tuple{"image", "text", rank_of_text}}) {
      std::snprintf(words, sizeof words, "<b>%s %d</b> \n<p class=\"row\">The right %s is at rank %d of 20;",
                    side, static_cast<int>(query), other, static_cast<int>(rank));
      EXPECT_CONTAINS(text, words);
    }
  }
  EXPECT_GT(right, 0u);
  EXPECT_EQ(occurrences(text, "<li class=\"right\">"), right);
  EXPECT_EQ(occurrences(text, "<li"), 50u);
}

TEST_F(ReportProgram, ResumedRunsHaveTheWholeCurve) {
  const std::vector<std::string> options = {"--steps", "6", "--log-every", "1", "--validate-every", "2"};
  std::vector<std::string> part = options;
  part.insert(part.end(), {"--stop-after", "2"});
  const std::string stopped = trained("run", part);
  EXPECT_CONTAINS(stopped, "Stopped after 2 of 6 steps");
  EXPECT_CONTAINS(stopped, "can be continued with --resume");
  EXPECT_EQ(occurrences(figure(stopped, "loss"), "<circle"), 2u);
  EXPECT_EQ(csv("run").size(), 2u);
  ASSERT_EQ(run_program({"train", "--out", path("run"), "--resume"}).exit_code, 0);
  const std::string resumed = page("run"), whole = trained("whole", options);
  EXPECT_CONTAINS(resumed, "Complete: 6 of 6 steps");
  EXPECT_EQ(resumed.find("--resume"), std::string::npos);
  EXPECT_EQ(csv("run").size(), 6u);
  for (const char* id : {"loss", "siglip", "term-klot", "validation-mrr", "validation-recall",
                         "sinkhorn-error", "sinkhorn-iterations", "similarity-model", "projection-after"})
    EXPECT_EQ(figure(resumed, id), figure(whole, id)) << id;
  EXPECT_EQ(occurrences(figure(resumed, "loss"), "<circle"), 6u);
  // Resuming a complete run writes the page again.
  fs::remove(path("run/report.html"));
  ASSERT_EQ(run_program({"train", "--out", path("run"), "--resume"}).exit_code, 0);
  EXPECT_EQ(figure(page("run"), "loss"), figure(whole, "loss"));
}

TEST_F(ReportProgram, WithoutValidationPairsItShowsTrainingPairs) {
  const std::vector<std::string> run = {"train",
                                        "--pairs-images",
                                        path("pairs_images.npy"),
                                        "--pairs-texts",
                                        path("pairs_texts.npy"),
                                        "--images",
                                        path("images.npy"),
                                        "--texts",
                                        path("texts.npy"),
                                        "--steps",
                                        "2",
                                        "--out",
                                        path("run")};
  ASSERT_EQ(run_program(run).exit_code, 0);
  const std::string text = page("run");
  expect_self_contained(text);
  EXPECT_CONTAINS(text, "There are no validation pairs");
  EXPECT_CONTAINS(text, "Of all 40 training pairs, which the model was trained on");
  EXPECT_EQ(figure(text, "validation-mrr"), "");
  EXPECT_NE(figure(text, "similarity-model"), "");
  EXPECT_EQ(csv("run")[0].count("validation_mean_r1"), 0u);
}

TEST_F(ReportProgram, WithoutUnpairedRowsThereAreNoTransportPlans) {
  ASSERT_EQ(run_program({"train", "--pairs-images", path("pairs_images.npy"), "--pairs-texts",
                         path("pairs_texts.npy"), "--val-images", path("val_images.npy"), "--val-texts",
                         path("val_texts.npy"), "--method", "sail", "--steps", "1", "--out", path("run")})
                .exit_code,
            0);
  const std::string text = page("run");
  expect_self_contained(text);
  for (const char* id : {"sinkhorn-error", "sinkhorn-iterations", "siglip"})
    EXPECT_EQ(figure(text, id), "") << id;
  EXPECT_EQ(text.find("Optimal transport"), std::string::npos);
  EXPECT_EQ(occurrences(figure(text, "loss"), "<circle"), 1u);  // one step
}

TEST_F(ReportProgram, EveryMethodAndFewPairs) {
  for (const std::string method : {"sail_semi", "structure", "structure_semi", "sclip", "nnclr"}) {
    const std::string text = trained(method, {"--method", method, "--steps", "1"});
    EXPECT_EQ(occurrences(text, "A term of the loss, without its weight."), method == "sail_semi" ? 0u
                                                                            : method == "nnclr"   ? 2u
                                                                                                  : 1u)
        << method;
    EXPECT_EQ(figure(text, "sinkhorn-error"), "") << method;
  }
  const std::string passes = trained("passes", {"--method", "self_training", "--self-training-passes", "3"});
  EXPECT_EQ(figure(passes, "sinkhorn-error"), "");
  EXPECT_EQ(occurrences(figure(passes, "loss"), "<circle"), 3u);
  EXPECT_NE(figure(passes, "term-transport_cost"), "");
  EXPECT_CONTAINS(trained("infonce", {"--divergence", "infonce", "--steps", "2"}), "term-infonce");
  for (const int64_t pairs : {1, 2}) {
    files.write("few_images.npy", pairs, TrainingFiles::kImageDim, 11, 12);
    files.write("few_texts.npy", pairs, TrainingFiles::kTextDim, 11, 13);
    const std::string few = trained(
        "few" + std::to_string(pairs),
        {"--val-images", path("few_images.npy"), "--val-texts", path("few_texts.npy"), "--steps", "2"});
    EXPECT_CONTAINS(few, "Of all " + std::to_string(pairs) + " validation pairs");
    EXPECT_EQ(few.find("of random pairs") == std::string::npos, pairs == 1);
  }
}

TEST_F(ReportProgram, ManyPairsAreSampled) {
  files.write("many_images.npy", 4321, TrainingFiles::kImageDim, 11, 12);
  files.write("many_texts.npy", 4321, TrainingFiles::kTextDim, 11, 13);
  std::string captions;
  for (int i = 0; i < 4321; ++i) captions += "caption " + std::to_string(i) + "\n";
  write_file(path("c.txt"), captions);
  const std::string text =
      trained("run", {"--val-images", path("many_images.npy"), "--val-texts", path("many_texts.npy"),
                      "--val-captions", path("c.txt"), "--steps", "1"});
  EXPECT_CONTAINS(text, "Of 2000 of the 4321 validation pairs, evenly spaced");
  EXPECT_CONTAINS(text, "<b>text 864</b> <span dir=\"auto\">caption 864</span>");
  EXPECT_LT(text.size(), size_t{1} << 18);
}

TEST_F(ReportProgram, CaptionsAndThumbnailsAreEscapedAndShown) {
  std::string captions;
  for (int i = 0; i < TrainingFiles::kValidation; ++i)
    captions += "<script>alert(" + std::to_string(i) + ")</script> & \"q\" \u4e2d\x01\n";
  write_file(path("c.txt"), captions);
  fs::create_directory(path("small"));
  write_file(path("small/4.png"), "abcd");
  const std::string text = trained(
      "a<b>&\"c", {"--val-captions", path("c.txt"), "--val-thumbnails", path("small"), "--steps", "2"});
  EXPECT_CONTAINS(
      text, "<span dir=\"auto\">&lt;script&gt;alert(4)&lt;/script&gt; &amp; &quot;q&quot; \u4e2d </span>");
  EXPECT_CONTAINS(text,
                  "alt=\"&lt;script&gt;alert(4)&lt;/script&gt; &amp; &quot;q&quot; \u4e2d \" "
                  "src=\"data:image/png;base64,YWJjZA==\"");
  EXPECT_CONTAINS(text, "a&lt;b&gt;&amp;&quot;c</title>");
  EXPECT_EQ(text.find("a<b>"), std::string::npos);
  EXPECT_CONTAINS(figure(text, "projection-after"), "<title>text 4: &lt;script&gt;alert(4)");
  // Without a thumbnail, an image shows the caption of its text.
  EXPECT_CONTAINS(text, "its text: <span dir=\"auto\">&lt;script&gt;alert(0)");
  // The files are given once, at the beginning; a resumed run finds them.
  fs::current_path(fs::temp_directory_path());
  ASSERT_EQ(run_program({"train", "--out", path("a<b>&\"c"), "--resume"}).exit_code, 0);
  EXPECT_CONTAINS(page("a<b>&\"c"), "alert(4)&lt;/script&gt;");
  // They change no number.
  trained("plain", {"--steps", "2"});
  EXPECT_SAME_FILES(path("plain/checkpoint.safetensors"), path("a<b>&\"c/checkpoint.safetensors"));
}

TEST_F(ReportProgram, RefusesCaptionsAndThumbnailsBeforeTraining) {
  write_file(path("c.txt"), "one\ntwo\n");
  expect_refused("run", {"--val-captions", path("c.txt")}, {"c.txt", "expected 20 lines", "found 2"});
  expect_refused("run", {"--val-captions", path("nowhere.txt")}, {"nowhere.txt"});
  write_file(path("c.txt"), "\xff" + std::string(20, '\n'));
  expect_refused("run", {"--val-captions", path("c.txt")}, {"c.txt: line 1: expected UTF-8"});
  expect_refused("run", {"--val-thumbnails", path("nowhere")}, {"--val-thumbnails", "expected a directory"});
  fs::create_directory(path("small"));
  write_file(path("small/7.jpg"), std::string((1 << 20) + 1, 'x'));
  expect_refused("run", {"--val-thumbnails", path("small")}, {"small/7.jpg", "at most 1024 KiB"});
  for (const char* option : {"--val-captions", "--val-thumbnails"}) {
    const ProgramResult result = run_program(
        {"train", "--pairs-images", path("pairs_images.npy"), "--pairs-texts", path("pairs_texts.npy"),
         "--method", "sail", option, path(std::string(option) == "--val-captions" ? "c.txt" : "small"),
         "--out", path("run")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_CONTAINS(result.err, std::string(option) + ": expected --val-images and --val-texts, found none");
    const ProgramResult swept = files.command(
        "sweep", "sweep",
        {"--vary", "seed=0,1", option, path(std::string(option) == "--val-captions" ? "c.txt" : "small")});
    EXPECT_EQ(swept.exit_code, 2);
    EXPECT_CONTAINS(swept.err, std::string(option) + ": ");
    EXPECT_FALSE(fs::exists(path("sweep")));
  }
}

TEST_F(ReportProgram, AFailureToWriteItIsAnError) {
  ASSERT_EQ(files.train("run", {"--steps", "2", "--stop-after", "1"}).exit_code, 0);
  for (const char* name : {"report.html", "metrics.csv"}) {
    const std::string file = path(std::string("run/") + name);
    fs::remove(file);
    fs::create_directory(file);
    write_file(file + "/x", "");  // a directory that is not empty cannot be replaced
    const ProgramResult result = run_program({"train", "--out", path("run"), "--resume"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_CONTAINS(result.err, file);
    EXPECT_EQ(occurrences(result.err, "\n"), 1u) << result.err;
    EXPECT_TRUE(fs::exists(path("run/model.safetensors")));
    fs::remove_all(file);
  }
  EXPECT_EQ(run_program({"train", "--out", path("run"), "--resume"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(path("run/report.html")));
}

TEST_F(ReportProgram, CsvHasARowForEachStepWithWhatJsonlHas) {
  trained("run", {"--steps", "7", "--log-every", "2", "--validate-every", "3"});
  const auto rows = csv("run");
  std::vector<std::string> steps;
  for (const auto& row : rows) steps.push_back(row.at("step"));
  EXPECT_EQ(steps, (std::vector<std::string>{"2", "3", "4", "6", "7"}));
  size_t found = 0;
  for (const Json& line : lines_of(path("run/metrics.jsonl"))) {
    for (const auto& row : rows) {
      if (row.at("step") != line["step"].dump()) continue;
      ++found;
      const bool step = line["type"] == "step";
      const Json& from = step ? line : line["validation"];
      for (const char* key : step ? std::vector<const char*>{"loss", "klot", "siglip"}
                                  : std::vector<const char*>{"mean_r1", "mean_reciprocal_rank"})
        EXPECT_EQ(Json::parse(row.at(step ? key : std::string("validation_") + key)), from[key]);
      if (step) {
        EXPECT_EQ(row.at("student_iterations"), line["student"]["iterations"].dump());
        EXPECT_EQ(row.at("teacher_status"), line["teacher"]["status"].get<std::string>());
      } else {
        EXPECT_EQ(row.at("validation_image_to_text_r1"), from["image_to_text"]["r1"].dump());
      }
    }
  }
  EXPECT_EQ(found, 4u + 3u);
  EXPECT_EQ(rows[0].at("validation_mean_r1"), "");  // step 2
  EXPECT_EQ(rows[1].at("loss"), "");                // step 3
  EXPECT_FALSE(rows[1].at("validation_mean_r1").empty());
}

TEST_F(ReportProgram, ASweepHasItsPage) {
  files.write("test_images.npy", 30, TrainingFiles::kImageDim, 7, 8);
  files.write("test_texts.npy", 30, TrainingFiles::kTextDim, 7, 9);
  const std::vector<std::string> options = {"--steps",       "2",
                                            "--vary",        "divergence_weight=0,10,30",
                                            "--test-images", path("test_images.npy"),
                                            "--test-texts",  path("test_texts.npy")};
  std::vector<std::string> part = options;
  part.insert(part.end(), {"--stop-after-runs", "2"});
  ASSERT_EQ(files.command("sweep", "s<w>", part).exit_code, 0);
  EXPECT_CONTAINS(page("s<w>"), "2 of 3 runs");
  expect_self_contained(page("s<w>"));
  ASSERT_EQ(run_program({"sweep", "--out", path("s<w>"), "--resume"}).exit_code, 0);
  const std::string text = page("s<w>");
  expect_self_contained(text);
  EXPECT_CONTAINS(text, "3 of 3 runs");
  EXPECT_CONTAINS(text, "<dt>varied</dt><dd>divergence_weight=0,10,30</dd>");
  EXPECT_NE(figure(text, "sweep"), "");
  EXPECT_CONTAINS(text, "30 pairs, measured once, on the selected model");
  const Json json = Json::parse(read_file(path("s<w>/sweep.json")));
  const size_t runs = text.find("<section id=\"runs\">");
  EXPECT_EQ(occurrences(text.substr(runs, text.find("</section>", runs) - runs), "<tr"), 4u);
  EXPECT_EQ(occurrences(text.substr(runs), "<tr class=\"best\">"), 1u);
  char cell[32];
  std::snprintf(cell, sizeof cell, ">%.1f</td>", 100 * json["test"]["model"]["mean_r1"].get<double>());
  EXPECT_CONTAINS(text, cell);
}

TEST_F(ReportProgram, AStudyHasItsPage) {
  files.write("i.npy", 90, TrainingFiles::kImageDim, 7, 8);
  files.write("t.npy", 90, TrainingFiles::kTextDim, 7, 9);
  write_file(path("plan.json"), R"json({"set": {"steps": 2}, "methods": [
    {"name": "SAIL <i>", "set": {"divergence_weight": 0}, "grid": {"learning_rate": [0.001, 0.01]}},
    {"name": "SOTAlign", "grid": [{"divergence_weight": 1}, {"divergence_weight": 10}]}],
    "sections": {"methods": {"pairs": [10, 20], "methods": ["SAIL <i>", "SOTAlign"], "proposed": ["SOTAlign"]},
                 "unpaired": {"pairs": 20, "method": "SOTAlign", "without": "SAIL <i>", "rows": [5, "all"]}}})json");
  const ProgramResult result = run_program({"study", "--images", path("i.npy"), "--texts", path("t.npy"),
                                            "--test", "20", "--validation", "20", "--seeds", "0,1", "--plan",
                                            path("plan.json"), "--out", path("study")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string text = page("study");
  expect_self_contained(text);
  EXPECT_EQ(occurrences(text, "<figure"), 2u);
  EXPECT_CONTAINS(figure(text, "plot-meanr-1-by-pairs"), "SAIL &lt;i&gt;");
  EXPECT_EQ(text.find("<i>"), std::string::npos);
  // Every line of a table of study.md is a row here.
  std::istringstream lines(read_file(path("study/study.md")));
  size_t rows = 0;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("| ") && !line.starts_with("| ---")) ++rows;
  EXPECT_EQ(occurrences(text, "<tr>"), rows);
  EXPECT_CONTAINS(text, "&quot;grid&quot;");  // the plan
}

}  // namespace program_report_test
}  // namespace sotalign::testing
