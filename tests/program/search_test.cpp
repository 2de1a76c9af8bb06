// sotalign search: hits against double-precision cosines of the rows that embed writes, and against top_k()
// of everything at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "sotalign/core/buffer.h"
#include "sotalign/eval/top_k.h"
#include "support/npy.h"
#include "support/peak_memory.h"
#include "support/program_data.h"
#include "support/shell.h"
#include "support/tensor_bytes.h"

namespace sotalign::testing {
namespace program_search_test {

using Json = nlohmann::json;
using Lists = std::vector<std::vector<int64_t>>;

/// Gallery rows by cosine less correction, best first, the lower row first among equals.
Lists sorted_rows(const GoldenArray& queries, const GoldenArray& gallery,
                  const std::vector<double>& corrections, size_t k, std::vector<double>* scores = nullptr) {
  const auto cols = static_cast<size_t>(queries.shape[1]), rows = static_cast<size_t>(gallery.shape[0]);
  const auto dot = [cols](const GoldenArray& a, size_t i, const GoldenArray& b, size_t j) {
    double sum = 0;
    for (size_t c = 0; c < cols; ++c) sum += a.values[i * cols + c] * b.values[j * cols + c];
    return sum;
  };
  Lists lists;
  for (size_t i = 0; i < static_cast<size_t>(queries.shape[0]); ++i) {
    std::vector<double> score;
    for (size_t j = 0; j < rows; ++j)
      score.push_back(dot(queries, i, gallery, j) /
                          std::sqrt(dot(queries, i, queries, i) * dot(gallery, j, gallery, j)) -
                      (corrections.empty() ? 0 : corrections[j]));
    std::vector<int64_t> order(rows);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return score[static_cast<size_t>(a)] > score[static_cast<size_t>(b)];
    });
    order.resize(k);
    if (scores != nullptr)
      for (const int64_t row : order) scores->push_back(score[static_cast<size_t>(row)]);
    lists.push_back(order);
  }
  return lists;
}

class SearchProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }
  ProgramResult run(const std::vector<std::string>& arguments) const {
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
  std::string model() {
    EXPECT_EQ(files.train("run", {"--steps", "3"}).exit_code, 0);
    return path("run/model.safetensors");
  }
  std::vector<Json> lines(const std::string& text) const {
    std::vector<Json> result;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) result.push_back(Json::parse(line));
    return result;
  }
  static std::vector<std::string> joined(std::vector<std::string> first,
                                         const std::vector<std::string>& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
  }
  void expect_refused(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& parts) const {
    const int64_t entries = files.entries();
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(files.entries(), entries);
  }
  /// Rows of -1 and 1 in four columns: cosines are exact, and many are equal.
  void write_signs(const std::string& name, int64_t rows, uint64_t seed) const {
    std::vector<float> values = random_normal(rows * 4, seed);
    for (float& value : values) value = value < 0 ? -1.0f : 1.0f;
    write_npy(path(name), ConstMatrixF(values.data(), rows, 4));
  }

  TrainingFiles files;
};

TEST_F(SearchProgram, HitsAreThoseOfEmbeddedRows) {
  const std::string model_path = model();
  for (const auto& [side, other] : {std::pair<std::string, std::string>("text", "image"), {"image", "text"}})
    for (const std::string projection : {"heads", "teacher"})
      for (const std::string kind : {"none", "dbs", "csls"}) {
        if (projection == "teacher" && kind != "none") continue;
        SCOPED_TRACE(side + " " + projection + " " + kind);
        const std::vector<std::string> with = {"--model", model_path, "--projection", projection};
        std::vector<std::string> corrected;
        if (kind != "none") corrected = {"--hubness", kind};
        run(joined(
            {"embed", "--side", side, "--input", path("val_" + side + "s.npy"), "--output", path("q.npy")},
            with));
        std::vector<std::string> gallery = {"embed",    "--side",     other, "--input", path(other + "s.npy"),
                                            "--output", path("g.npy")};
        if (kind != "none") gallery.insert(gallery.end(), {"--corrections", path("c.npy")});
        run(joined(joined(gallery, with), corrected));
        std::vector<double> scores;
        const Lists expected = sorted_rows(
            read_golden(path("q.npy")), read_golden(path("g.npy")),
            kind == "none" ? std::vector<double>() : read_golden(path("c.npy")).values, 7, &scores);

        const std::vector<std::string> search =
            joined(joined({"search", "--side", side, "--queries", path("val_" + side + "s.npy"), "--gallery",
                           path(other + "s.npy"), "--k", "7"},
                          with),
                   corrected);
        const std::string out = run(search).out;
        const std::vector<Json> found = lines(out);
        ASSERT_EQ(found.size(), expected.size());
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(found[i]["query"], i);
          EXPECT_EQ(found[i]["rows"].get<std::vector<int64_t>>(), expected[i]);
          EXPECT_FALSE(found[i].contains("captions"));
          for (size_t n = 0; n < 7; ++n)
            EXPECT_WITHIN(std::abs(found[i]["scores"][n].get<double>() - scores[i * 7 + n]), 2e-6);
        }
        // The gallery that embed wrote gives the same.
        const std::vector<Json> embedded =
            lines(run(joined(joined({"search", "--side", side, "--queries", path("val_" + side + "s.npy"),
                                     "--gallery", path("g.npy"), "--gallery-side", "embedded", "--k", "7"},
                                    with),
                             corrected))
                      .out);
        for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(embedded[i]["rows"], found[i]["rows"]);
      }
}

TEST_F(SearchProgram, TheGalleryMayBeOfTheSameSide) {
  const std::string model_path = model();
  run({"embed", "--model", model_path, "--side", "text", "--input", path("texts.npy"), "--output",
       path("g.npy")});
  const Lists expected = sorted_rows(read_golden(path("g.npy")), read_golden(path("g.npy")), {}, 4);
  const std::vector<Json> found =
      lines(run({"search", "--model", model_path, "--side", "text", "--gallery-side", "text", "--queries",
                 path("texts.npy"), "--gallery", path("texts.npy"), "--k", "4"})
                .out);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[i]["rows"].get<std::vector<int64_t>>(), expected[i]);
    EXPECT_EQ(found[i]["rows"][0], i);
  }
}

/// Several tiles, many equal scores, and the bits of top_k().
TEST_F(SearchProgram, TilesGiveTheListsOfTheWhole) {
  write_signs("q.npy", 5, 1);
  write_signs("g.npy", 9001, 2);
  run({"search", "--queries", path("q.npy"), "--gallery", path("g.npy"), "--k", "700", "--out",
       path("hits.npy"), "--scores", path("scores.npy")});
  const ArrayBytes hits = npy_parts(read_file(path("hits.npy"))),
                   scores = npy_parts(read_file(path("scores.npy")));
  EXPECT_EQ(hits.type, "<i8");
  EXPECT_EQ(scores.type, "<f4");
  EXPECT_EQ(hits.shape, (std::vector<int64_t>{5, 700}));
  EXPECT_EQ(scores.shape, hits.shape);
  std::vector<double> exact;
  std::vector<int64_t> expected;
  for (const std::vector<int64_t>& list :
       sorted_rows(read_golden(path("q.npy")), read_golden(path("g.npy")), {}, 700, &exact))
    expected.insert(expected.end(), list.begin(), list.end());
  EXPECT_EQ(values_in<int64_t>(hits.data), expected);
  EXPECT_EQ(values_in<float>(scores.data), std::vector<float>(exact.begin(), exact.end()));

  const int64_t rows = 8200, cols = 33;
  for (const auto& [name, count] : {std::pair("q.npy", int64_t{70}), {"g.npy", rows}}) {
    const std::vector<float> values = random_normal(count * cols, static_cast<uint64_t>(count));
    write_npy(path(name), ConstMatrixF(values.data(), count, cols));
  }
  run({"search", "--queries", path("q.npy"), "--gallery", path("g.npy"), "--k", "9", "--threads", "1",
       "--out", path("hits.npy"), "--scores", path("scores.npy")});
  Context context(Device{}, 1);
  const auto upload = [&](const char* name) {
    const HostMatrix host = read_npy_matrix(path(name));
    return Matrix<float>(context, host.data(), host.rows(), host.cols());
  };
  const TopKResult whole = top_k(context, upload("q.npy"), upload("g.npy"), 9);
  EXPECT_EQ(values_in<int64_t>(npy_parts(read_file(path("hits.npy"))).data), whole.indices);
  EXPECT_EQ(values_in<float>(npy_parts(read_file(path("scores.npy"))).data), whole.scores);
}

TEST_F(SearchProgram, PipesCarryQueriesAndHits) {
  write_signs("q.npy", 3, 1);
  write_signs("g.npy", 40, 2);
  const std::string expected =
      run({"search", "--queries", path("q.npy"), "--gallery", path("g.npy"), "--k", "2"}).out;
  for (const char* script :
       {"cat q.npy | $S search --queries - --gallery g.npy --k 2",
        "$S search --queries - --gallery g.npy --k 2 < q.npy",
        "cat g.npy | $S search --queries q.npy --gallery - --k 2 --out - --format jsonl",
        "$S search --queries q.npy --gallery g.npy --k 2 --out hits.jsonl --quiet; cat hits.jsonl"}) {
    const ProgramResult result = run_shell(files, script);
    EXPECT_EQ(result.exit_code, 0) << script << result.err;
    EXPECT_EQ(result.out, expected) << script;
    EXPECT_EQ(result.err, "");
  }
  const ProgramResult npy =
      run_shell(files, "cat q.npy | $S search --queries - --gallery g.npy --k 2 --out - --format npy");
  EXPECT_EQ(npy_parts(npy.out).shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(values_in<int64_t>(npy_parts(npy.out).data)[0], lines(expected)[0]["rows"][0]);

  for (const auto& [script, part] :
       {std::pair("printf 'not npy' | $S search --queries - --gallery g.npy",
                  "standard input: expected a .npy file, found other content"),
        {"head -c 90 q.npy | $S search --queries - --gallery g.npy", "standard input: truncated"},
        {"$S search --queries - --gallery g.npy < /dev/null",
         "standard input: expected a .npy file, found nothing"},
        {"$S search --queries q.npy --gallery g.npy > /dev/full", "standard output: cannot write"},
        {"$S search --queries - --gallery - < q.npy",
         "--queries: expected a file, found - for --gallery too"},
        {"$S search --queries q.npy --gallery g.npy --out - --scores -",
         "--scores: expected a file, found - for --out too"}}) {
    const ProgramResult result = run_shell(files, script);
    EXPECT_EQ(result.exit_code, 2) << script;
    EXPECT_EQ(result.out, "");
    EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(SearchProgram, CaptionsAndPages) {
  write_signs("q.npy", 2, 1);
  write_signs("g.npy", 12, 2);
  std::string captions;
  for (int i = 0; i < 12; ++i) captions += "caption " + std::to_string(i) + " <b>&\"\u00e9\u4e2d\r\n";
  captions.resize(captions.size() - 2);  // the last line needs no end
  write_file(path("c.txt"), captions);
  write_file(path("qc.txt"), "first\n\n");
  const std::vector<std::string> search = {"search",       "--queries",  path("q.npy"), "--gallery",
                                           path("g.npy"),  "--captions", path("c.txt"), "--query-captions",
                                           path("qc.txt"), "--k",        "12"};
  const std::vector<Json> found = lines(run(search).out);
  EXPECT_EQ(found[0]["caption"], "first");
  EXPECT_EQ(found[1]["caption"], "");
  for (const Json& line : found)
    for (size_t n = 0; n < 12; ++n)
      EXPECT_EQ(line["captions"][n], "caption " + line["rows"][n].dump() + " <b>&\"\u00e9\u4e2d");

  std::filesystem::create_directory(path("small"));
  write_file(path("small/3.png"), "abcd");
  write_file(path("small/11.jpg"), std::string("\xff\x00\x10", 3));
  const std::string said =
      run(joined(search, {"--out", path("page.html"), "--thumbnails", path("small")})).out;
  EXPECT_CONTAINS(said, "page.html: top 12 of 12 rows for 2 queries, by cosine");
  const std::string page = read_file(path("page.html"));
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  for (const char* part :
       {"name=\"viewport\"", "prefers-color-scheme: dark", "caption 7 &lt;b&gt;&amp;&quot;\u00e9\u4e2d",
        "src=\"data:image/png;base64,YWJjZA==\"", "src=\"data:image/jpeg;base64,/wAQ\"", ">first</span>"})
    EXPECT_CONTAINS(page, part);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_EQ(page.find("http:"), std::string::npos);
  EXPECT_EQ(page.find("https:"), std::string::npos);
  size_t cards = 0;
  for (size_t at = page.find("<li>"); at != std::string::npos; at = page.find("<li>", at + 1)) ++cards;
  EXPECT_EQ(cards, 24u);

  write_file(path("small/3.png"), std::string((1 << 20) + 1, 'x'));
  expect_refused(joined(search, {"--out", path("big.html"), "--thumbnails", path("small")}),
                 {"small/3.png", "at most 1024 KiB"});
  write_file(path("c.txt"), captions + "\nmore");
  expect_refused(search, {"c.txt", "expected 12 lines", "g.npy, found 13"});
  write_file(path("c.txt"), "\xff\n\n\n\n\n\n\n\n\n\n\n\n");
  expect_refused(search, {"c.txt: line 1: expected UTF-8"});
}

TEST_F(SearchProgram, Refuses) {
  const std::string q = path("val_texts.npy"), g = path("images.npy"), t = path("texts.npy");
  expect_refused({"search"}, {"--gallery"});
  expect_refused({"search", "--gallery", t}, {"--queries"});
  expect_refused({"search", "--queries", q, "--gallery", g}, {g, "without --model, expected 9 columns", q});
  for (const char* k : {"0", "-1", "51", "9223372036854775807"})
    expect_refused({"search", "--queries", q, "--gallery", t, "--k", k}, {"--k: expected 1 to 50", k});
  expect_refused({"search", "--queries", q, "--gallery", t, "--out", path("hits.txt")},
                 {"--out", "hits.txt"});
  expect_refused({"search", "--queries", q, "--gallery", t, "--out", t},
                 {"--out: expected a file other than"});
  for (const char* flag : {"--side", "--gallery-side"})
    expect_refused({"search", "--queries", q, "--gallery", t, flag, "text"}, {flag, "expected --model"});
  expect_refused({"search", "--queries", q, "--gallery", t, "--hubness", "dbs"}, {"--hubness", "--model"});
  expect_refused({"search", "--queries", q, "--gallery", t, "--thumbnails", path("x")}, {"--thumbnails"});
  expect_refused(
      {"search", "--queries", q, "--gallery", t, "--thumbnails", path("x"), "--out", path("h.html")},
      {"--thumbnails: expected a directory"});
  expect_refused({"search", "--queries", q, "--gallery", t, "--captions", q, "--out", path("h.npy")},
                 {"--captions", "found npy"});
  const std::string m = model();
  expect_refused({"search", "--model", m, "--queries", q, "--gallery", g},
                 {"--side is required with --model"});
  expect_refused({"search", "--model", m, "--side", "image", "--queries", q, "--gallery", g},
                 {q, "expected 12 columns", "found 9"});
  expect_refused({"search", "--model", m, "--side", "text", "--gallery-side", "text", "--queries", q,
                  "--gallery", t, "--hubness", "dbs"},
                 {"--hubness", "other side"});
  expect_refused({"search", "--model", m, "--side", "text", "--gallery-side", "embedded", "--queries", q,
                  "--gallery", g},
                 {g, "as the model's space has"});
  std::vector<float> rows(5000 * 9, 1.0f);
  std::fill(rows.begin() + 4500 * 9, rows.begin() + 4501 * 9, 0.0f);
  write_npy(path("zero.npy"), ConstMatrixF(rows.data(), 5000, 9));
  expect_refused({"search", "--queries", q, "--gallery", path("zero.npy"), "--out", path("h.jsonl")},
                 {"zero.npy: row 4500", "only zeros"});
  rows[4500 * 9 + 3] = std::nanf("");
  write_npy(path("nan.npy"), ConstMatrixF(rows.data(), 5000, 9));
  expect_refused({"search", "--queries", q, "--gallery", path("nan.npy"), "--out", path("h.jsonl")},
                 {"nan.npy: row 4500, column 3 is nan"});
}

TEST_F(SearchProgram, MemoryDoesNotGrowWithTheGallery) {
  if (kProgramUnderAddressSanitizer) GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  constexpr int64_t kCols = 64, kSmall = 20'000, kLarge = 500'000;
  std::vector<float> query(kCols, 1.0f);
  write_npy(path("q.npy"), ConstMatrixF(query.data(), 1, kCols));
  const auto peak = [&](int64_t rows) {
    write_file(path("g.npy"), npy_file("<f2", rows, kCols,
                                       raw_bytes(std::vector<uint16_t>(static_cast<size_t>(rows * kCols),
                                                                       0x3c00))));  // 1.0
    const MeasuredProgram measured = run_measured(
        {"search", "--queries", path("q.npy"), "--gallery", path("g.npy"), "--threads", "1", "--k", "3"});
    EXPECT_EQ(lines(measured.result.out).at(0)["rows"], (std::vector<int64_t>{0, 1, 2}));
    return measured.peak_kib;
  };
  const int64_t small = peak(kSmall), large = peak(kLarge);
  EXPECT_GT(small, 1000);
  EXPECT_LT(large - small, 16 << 10) << "the file has 64 MB, as float32 128 MB";
}

}  // namespace program_search_test
}  // namespace sotalign::testing
