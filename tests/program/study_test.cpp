// The command study as users see it: what it runs, selects, reports, continues and refuses.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <thread>

#include "sotalign/core/random.h"
#include "support/npy.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_study_test {

using Json = nlohmann::json;

// No grid value is a default, so every point is part of its run's setting.
constexpr const char* kPlan = R"json({
  "set": {"steps": 3},
  "methods": [
    {"name": "teacher", "measure": "teacher", "set": {"divergence_weight": 0, "dim": 1}, "grid": {"ridge": [0.02, 0.3]}},
    {"name": "SAIL", "set": {"divergence_weight": 0}, "grid": {"learning_rate": [0.001, 0.01]}},
    {"name": "SOTAlign", "grid": [{"divergence_weight": 1}, {"divergence_weight": 10}]}
  ],
  "sections": {
    "methods": {"pairs": [10, 20], "methods": ["teacher", "SAIL", "SOTAlign"], "proposed": ["SOTAlign"],
                "worth": {"method": "SAIL", "times": [2, 4]}},
    "teachers": {"pairs": 20,
                 "teachers": [{"name": "procrustes", "set": {"teacher": "procrustes"}}, {"name": "cca"}],
                 "divergences": [{"name": "none", "measure": "teacher", "set": {"divergence_weight": 0, "dim": 2}},
                                 {"name": "cka", "set": {"divergence": "cka"}, "grid": {"divergence_weight": [1, 10]}},
                                 {"name": "klot", "grid": {"divergence_weight": [1, 10]}}],
                 "proposed": "klot"},
    "unpaired": {"pairs": 20, "method": "SOTAlign", "without": "SAIL", "rows": [10, "all", 1000]},
    "shift": {"pairs": 20, "method": "SOTAlign", "without": "SAIL",
              "pools": ["same", "disjoint", {"biased": 1}, "upper", "other"]}
  }
})json";

// Tuning and final runs per section, for two seeds, without runs shared with earlier sections. The methods
// section already runs SAIL with 20 pairs, as twice 10; klot with the CCA teacher is SOTAlign; unpaired and
// shift share the runs without unpaired rows.
const std::map<std::string, std::pair<int, int>> kRuns = {
    {"methods", {16, 16}}, {"teachers", {6, 10}}, {"unpaired", {2, 4}}, {"shift", {0, 8}}};

std::string percent(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  char text[64];
  std::snprintf(text, sizeof text, "%.1f +- %.1f", 100 * mean,
                100 * std::sqrt(squares / static_cast<double>(values.size() - 1)));
  return text;
}

double mean(const Json& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

Json without_seconds(Json study) {
  study.erase("seconds");
  for (Json& run : study["runs"]) run.erase("seconds");
  return study;
}

class StudyProgram : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 120;

  void SetUp() override {
    files.write("i.npy", kRows, TrainingFiles::kImageDim, 7, 8);
    files.write("t.npy", kRows, TrainingFiles::kTextDim, 7, 9);
    write_file(path("p.json"), kPlan);
  }

  std::string path(const std::string& name) const { return files / name; }
  Json study(const std::string& out) const { return Json::parse(read_file(path(out + "/study.json"))); }

  std::vector<std::string> command(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "study", "--images", path("i.npy"),  "--texts", path("t.npy"), "--test", "20",      "--validation",
        "20",    "--plan",   path("p.json"), "--seeds", "0,1",         "--out",  path(out), "--threads",
        "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string run(const std::vector<std::string>& arguments) const {
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
  void expect_refused(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& parts) const {
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(result.err.starts_with("sotalign study: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    for (const std::string& part : parts) EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(std::filesystem::exists(path("refused")));
  }
  /// Replaces one part of the plan's text.
  void expect_plan_refused(const std::string& from, const std::string& to,
                           const std::vector<std::string>& parts) const {
    std::string plan = kPlan;
    ASSERT_NE(plan.find(from), std::string::npos) << from;
    plan.replace(plan.find(from), from.size(), to);
    write_file(path("bad.json"), plan);
    expect_refused(command("refused", {"--plan", path("bad.json")}), parts);
  }

  TrainingFiles files;
};

/// A figure of the runs with a point, one per seed, in seed order.
std::vector<double> figures(const Json& study, const Json& cell, const Json& point, const std::string& role,
                            const std::string& figure) {
  const bool none = cell["row"].get<std::string>().starts_with("none (");
  const Json unpaired = role == "final" ? cell["unpaired"] : none ? Json(0) : Json("all");
  std::map<int64_t, double> found;
  for (const Json& run : study["runs"]) {
    const Json& key = run["key"];
    const bool procrustes = key["setting"].value("teacher", "") == "procrustes";
    const bool cka = key["setting"].value("divergence", "") == "cka";
    if (run["point"] != point || key["role"] != role || key["pairs"] != cell["pairs"] ||
        key["unpaired"] != unpaired || procrustes != (cell["row"] == "procrustes") ||
        cka != (cell["column"] == "cka"))
      continue;
    EXPECT_TRUE(found.emplace(key["seed"].get<int64_t>(), run["figures"][figure].get<double>()).second);
  }
  std::vector<double> values;
  for (const auto& [seed, value] : found) values.push_back(value);
  return values;
}

TEST_F(StudyProgram, DryRunCountsAndDoesNothing) {
  const std::string out = run(command("out", {"--dry-run"}));
  EXPECT_CONTAINS(out, "methods         10      16      16\n");
  EXPECT_CONTAINS(out, "teachers         6       6      10\n");
  EXPECT_CONTAINS(out, "unpaired         3       2       4\n");
  EXPECT_CONTAINS(out, "shift            5       0       8\n");
  EXPECT_CONTAINS(out, "62 runs");
  EXPECT_FALSE(std::filesystem::exists(path("out")));
  EXPECT_CONTAINS(run(command("out", {"--dry-run", "--sections", "shift,unpaired"})),
                  "shift            5       4      10\n  unpaired         3       0       4\n");
}

/// A plan with one of the sections of kPlan runs as it is, without --sections.
TEST_F(StudyProgram, PlansWithOneSection) {
  const Json plan = Json::parse(kPlan);
  const std::map<std::string, std::vector<std::string>> plots = {
      {"methods", {"pairs"}}, {"teachers", {}}, {"unpaired", {"unpaired"}}, {"shift", {"shift"}}};
  for (const auto& [section, files_of_section] : plots) {
    SCOPED_TRACE(section);
    Json part = plan;
    part["sections"] = {{section, plan["sections"][section]}};
    if (section == "teachers") part.erase("methods");  // it has methods of its own
    if (section == "methods") part["sections"][section].erase("worth");
    write_file(path("p.json"), part.dump());
    run(command(section, {"--seeds", "0"}));
    const std::string report = read_file(path(section + "/study.md"));
    for (const auto& [heading, of] : std::map<std::string, std::string>{{"\n## Methods\n", "methods"},
                                                                        {"\n## Teachers and", "teachers"},
                                                                        {"\n## Unpaired rows,", "unpaired"},
                                                                        {"\n## Shifted", "shift"}})
      EXPECT_EQ(report.find(heading) != std::string::npos, of == section) << heading << report;
    EXPECT_EQ(report.find("The last rows use more pairs"), std::string::npos);
    for (const char* plot : {"pairs", "unpaired", "shift"})
      EXPECT_EQ(std::filesystem::exists(path(section + "/" + plot + ".svg")),
                files_of_section == std::vector<std::string>{plot})
          << plot;
    // Resumed, it has nothing left to do.
    const Json before = study(section);
    run({"study", "--out", path(section), "--resume"});
    EXPECT_EQ(study(section)["runs"], before["runs"]);
    for (const Json& cell : before["cells"]) EXPECT_EQ(cell["section"], section);
  }
  Json part = plan;
  part["sections"].erase("teachers");
  part.erase("methods");
  write_file(path("p.json"), part.dump());
  expect_refused(command("refused"), {"p.json: sections: methods: methods: expected a method of", "found"});
  part["sections"] = Json::object();
  write_file(path("p.json"), part.dump());
  expect_refused(command("refused"),
                 {"p.json: sections: expected methods, teachers, unpaired or shift, found {}"});
}

TEST_F(StudyProgram, TheBuiltInPlanIsValid) {
  files.write("i.npy", 5000, TrainingFiles::kImageDim, 7, 8);
  files.write("t.npy", 5000, TrainingFiles::kTextDim, 7, 9);
  const std::string out = run({"study", "--images", path("i.npy"), "--texts", path("t.npy"), "--dry-run"});
  for (const char* section : {"methods", "teachers", "unpaired", "shift"}) EXPECT_CONTAINS(out, section);
}

TEST_F(StudyProgram, RunsEverythingOnceAndSelectsOnValidationRows) {
  run(command("out"));
  const Json study = this->study("out");
  std::set<std::string> keys;
  std::map<std::string, std::pair<int, int>> runs;
  for (const Json& run : study["runs"]) {
    EXPECT_TRUE(keys.insert(run["key"].dump()).second) << run;
    const bool tuning = run["key"]["role"] == "tuning";
    ++(tuning ? runs[run["section"]].first : runs[run["section"]].second);
    EXPECT_EQ(run["key"]["seed"] == 10, tuning);
    EXPECT_FALSE(run.contains("error"));
    EXPECT_GT(run["seconds"], 0.0);
  }
  EXPECT_EQ(runs["methods"], kRuns.at("methods"));
  EXPECT_EQ(runs["teachers"], kRuns.at("teachers"));
  EXPECT_EQ(runs["unpaired"], kRuns.at("unpaired"));
  EXPECT_EQ(runs["shift"], kRuns.at("shift"));

  bool a_choice_mattered = false;
  ASSERT_EQ(study["cells"].size(), 24u);
  for (const Json& cell : study["cells"]) {
    SCOPED_TRACE(cell.dump());
    if (cell.contains("tuning")) {
      double best = -1;
      Json selected;
      ASSERT_EQ(cell["tuning"].size(), 2u);
      for (const Json& tried : cell["tuning"]) {
        const std::vector<double> scores =
            figures(study, cell, tried["point"], "tuning", "mean_reciprocal_rank");
        ASSERT_EQ(scores.size(), 1u);
        EXPECT_EQ(tried["validation"], scores[0]);
        if (scores[0] > best) best = scores[0], selected = tried["point"];
      }
      EXPECT_EQ(cell["selected"], selected);
      a_choice_mattered = a_choice_mattered || selected != cell["tuning"][0]["point"];
    }
    if (cell["column"] == "none") continue;  // both teachers have a single point, {}
    EXPECT_EQ(cell["mean_r1"].get<std::vector<double>>(),
              figures(study, cell, cell["selected"], "final", "mean_r1"));
  }
  EXPECT_TRUE(a_choice_mattered);
}

TEST_F(StudyProgram, TablesAndClaimsAreThoseOfTheRuns) {
  run(command("out"));
  const Json study = this->study("out");
  const std::string text = read_file(path("out/study.md"));
  std::map<std::pair<std::string, std::string>, Json> cells, with_dbs;
  std::map<std::string, double> best, best_with_dbs;
  for (const Json& cell : study["cells"]) {
    if (cell["section"] != "methods") continue;
    const std::string row = cell["row"], column = cell["column"];
    cells[{row, column}] = cell["mean_r1"];
    // Four times 20 pairs are all rows: none is left for a bank.
    ASSERT_EQ(cell.contains("dbs"), cell["pairs"] != 80);
    if (cell.contains("dbs")) with_dbs[{row, column}] = cell["dbs"]["mean_r1"];
    if (row.ends_with("pairs")) continue;
    best[column] = std::max(best[column], mean(cell["mean_r1"]));
    best_with_dbs[column] = std::max(best_with_dbs[column], mean(cell["dbs"]["mean_r1"]));
  }
  EXPECT_CONTAINS(text, "| method | 10 pairs | with DBS | 20 pairs | with DBS |\n");
  for (const std::string row :
       {"teacher", "SAIL", "SOTAlign", "SAIL, 2 times the pairs", "SAIL, 4 times the pairs"}) {
    std::string line = "| " + row;
    for (const std::string column : {"10", "20"}) {
      const auto add = [&](const Json& values, double highest) {
        const bool bold = !row.ends_with("pairs") && mean(values) == highest;
        const std::string mark = bold ? "**" : "";
        line += " | " + mark + percent(values) + mark;
      };
      add(cells[{row, column}], best[column]);
      if (const auto found = with_dbs.find({row, column}); found != with_dbs.end())
        add(found->second, best_with_dbs[column]);
      else
        line += " | -";
    }
    EXPECT_CONTAINS(text, line + " |\n");
  }
  const auto of = [&](const std::string& row, const std::string& column) {
    return mean(cells[{row, column}]);
  };
  // Two seeds: the standard error of a mean difference is half the range.
  const auto judged = [](const Json& ours, const Json& other) {
    const double a = ours[0].get<double>() - other[0].get<double>(),
                 b = ours[1].get<double>() - other[1].get<double>();
    return (a + b) / 2 > std::abs(a - b) ? 0 : (a + b) / 2 < -std::abs(a - b) ? 2 : 1;
  };
  int above = 0, worth = 0;
  for (const std::string column : {"10", "20"}) {
    const std::string best_other = of("teacher", column) >= of("SAIL", column) ? "teacher" : "SAIL";
    const Json& own = cells[{"SOTAlign", column}];
    above = std::max(above, judged(own, cells[{best_other, column}]));
    worth = std::max(worth, judged(own, cells[{"SAIL, 2 times the pairs", column}]));
  }
  const Json &ours = cells[{"SOTAlign", "20"}], &theirs = cells[{"SAIL, 2 times the pairs", "20"}];
  const double first = ours[0].get<double>() - theirs[0].get<double>(),
               second = ours[1].get<double>() - theirs[1].get<double>();
  char difference[64];
  std::snprintf(difference, sizeof difference, "difference %+.1f +- %.1f\n", 50 * (first + second),
                50 * std::abs(first - second));
  EXPECT_CONTAINS(text, "SOTAlign with 20 pairs " + percent(ours) + ", SAIL with 40 " + percent(theirs) +
                            ", " + difference);
  const auto verdict = [](int judgement) {
    const char* words[] = {"holds", "undecided", "fails"};
    return std::string(": **") + words[judgement] + "**\n";
  };
  EXPECT_CONTAINS(text, "SOTAlign beats every other method at every number of pairs" + verdict(above));
  EXPECT_CONTAINS(text, "SOTAlign beats SAIL with 2 times the pairs" + verdict(worth));

  std::map<std::string, std::map<std::string, Json>> teachers;
  std::vector<Json> unpaired;
  for (const Json& cell : study["cells"]) {
    if (cell["section"] == "teachers") teachers[cell["row"]][cell["column"]] = cell["mean_r1"];
    if (cell["section"] == "unpaired") unpaired.push_back(cell["mean_r1"]);
  }
  int klot_best = 0;
  for (auto& [name, row] : teachers)
    klot_best = std::max(
        klot_best, judged(row["klot"], mean(row["none"]) >= mean(row["cka"]) ? row["none"] : row["cka"]));
  EXPECT_CONTAINS(text, "klot is the best divergence for every teacher" + verdict(klot_best));
  int helps = 0;
  for (size_t i = 1; i < unpaired.size(); ++i) helps = std::max(helps, judged(unpaired[i], unpaired[i - 1]));
  EXPECT_CONTAINS(text, "more unpaired rows help at every step" + verdict(helps));
  for (const Json& cell : study["cells"]) {
    const Json& ranks = cell["mean_reciprocal_rank"];
    ASSERT_EQ(ranks.size(), cell["mean_r1"].size());
    for (size_t i = 0; i < ranks.size(); ++i)
      EXPECT_GE(ranks[i].get<double>(), cell["mean_r1"][i].get<double>());
  }
  EXPECT_CONTAINS(text, "| mean reciprocal rank, percent | 10 pairs | with DBS | 20 pairs | with DBS |");
  EXPECT_EQ(text.find("earlier version"), std::string::npos);
  EXPECT_CONTAINS(text, "| unpaired rows of each modality | MeanR@1 | with DBS | MRR, percent | with DBS |");
  EXPECT_CONTAINS(text, "| distance to the test rows | MeanR@1 | with DBS | MRR, percent | with DBS |");

  EXPECT_CONTAINS(text, "may have been a pair, an unpaired row or a validation row of a tuning split");
  EXPECT_CONTAINS(text, "62 runs");
  EXPECT_CONTAINS(text, "sotalign study --images " + path("i.npy"));
  for (const char* plot : {"pairs", "unpaired", "shift"}) {
    EXPECT_CONTAINS(text, std::string("(") + plot + ".svg)");
    EXPECT_CONTAINS(read_file(path(std::string("out/") + plot + ".svg")), "</svg>");
  }
  EXPECT_EQ(Json::parse(read_file(path("out/plan.json"))), Json::parse(kPlan));
}

/// With two pairs, and the validation rows in training, a study's splits are those of compare.
TEST_F(StudyProgram, FiguresAreThoseOfCompare) {
  write_file(path("p.json"), R"json({
    "set": {"steps": 5, "teacher": "cca"},
    "methods": [{"name": "teacher", "measure": "teacher", "validates": true},
                {"name": "SAIL", "set": {"method": "sail"}, "validates": true},
                {"name": "SOTAlign", "validates": true}],
    "sections": {"methods": {"pairs": [2], "methods": ["teacher", "SAIL", "SOTAlign"], "proposed": ["SOTAlign"],
                             "worth": {"method": "SAIL", "times": [2]}}}
  })json");
  run(command("out", {"--sections", "methods"}));
  run({"compare", "--images",     path("i.npy"), "--texts",   path("t.npy"), "--pairs",
       "2",       "--test",       "20",          "--seeds",   "0,1",         "--threads",
       "1",       "--validation", "20",          "--teacher", "cca",         "--steps",
       "5",       "--hubness",    "dbs",         "--json",    path("c.json")});
  const Json expected = Json::parse(read_file(path("c.json")));
  const auto figures = [](const Json& json, const Json& run) {
    Json result = json["methods"][run["method"]]["seeds"][run["key"]["seed"].get<size_t>()];
    result.erase("seed"), result.erase("seconds");
    return result;
  };
  int compared = 0, corrected = 0;
  const Json runs = study("out")["runs"];
  for (const Json& run : runs) {
    if (run["key"]["pairs"] != 2) continue;
    SCOPED_TRACE(run.dump());
    EXPECT_EQ(run["figures"], figures(expected, run));
    EXPECT_EQ(run["dbs"], figures(expected["hubness"], run));
    ++compared;
    corrected += run["dbs"] != run["figures"] ? 1 : 0;
  }
  EXPECT_EQ(compared, 6);
  EXPECT_GT(corrected, 0) << "the correction changes no figure, so the test shows nothing";
}

/// A study of two pairs trains on these rows: see data.h and split_rows().
TEST_F(StudyProgram, DisjointRowsHaveNoCounterparts) {
  write_file(path("p.json"), R"json({
    "set": {"steps": 5, "teacher": "cca"},
    "methods": [{"name": "SAIL", "set": {"method": "sail"}}, {"name": "SOTAlign"}],
    "sections": {"methods": {"pairs": [2], "disjoint": [2], "methods": ["SAIL", "SOTAlign"],
                             "proposed": ["SOTAlign"], "worth": {"method": "SAIL", "times": [2]}}}
  })json");
  run(command("out", {"--sections", "methods", "--seeds", "1"}));
  const auto shuffled = [](std::vector<int64_t> rows, const char* stream) {
    const RandomStream random(1, stream_id(stream));
    std::sort(rows.begin(), rows.end(), [&](int64_t i, int64_t j) {
      return random.bits64(static_cast<uint64_t>(i)) < random.bits64(static_cast<uint64_t>(j));
    });
    return rows;
  };
  std::vector<int64_t> all(kRows);
  std::iota(all.begin(), all.end(), 0);
  all = shuffled(all, "demo.split");
  const std::vector<int64_t> rest(all.begin() + 42, all.end()), images = shuffled(rest, "demo.images");
  const std::set<int64_t> first(images.begin(), images.begin() + 39);
  std::vector<int64_t> texts = shuffled(rest, "demo.texts");
  std::erase_if(texts, [&](int64_t row) { return first.contains(row); });
  ASSERT_EQ(texts.size(), 39u);
  const auto write = [&](const std::string& name, const std::string& from, std::vector<int64_t> rows) {
    const GoldenArray file = read_golden(path(from));
    const int64_t cols = file.shape[1];
    std::vector<float> values;
    for (const int64_t row : rows)
      for (int64_t j = 0; j < cols; ++j)
        values.push_back(static_cast<float>(file.values[static_cast<size_t>(row * cols + j)]));
    write_npy(path(name), ConstMatrixF(values.data(), static_cast<int64_t>(rows.size()), cols));
  };
  for (const std::string side : {"i", "t"}) {
    write("pairs_" + side, side + ".npy", {all.begin(), all.begin() + 2});
    write("test_" + side, side + ".npy", {all.begin() + 2, all.begin() + 22});
  }
  write("unpaired_i", "i.npy", {images.begin(), images.begin() + 39});
  write("unpaired_t", "t.npy", texts);

  int compared = 0;
  const Json runs = study("out")["runs"];
  for (const Json& run : runs) {
    if (run["key"]["unpaired"] != "disjoint") continue;
    SCOPED_TRACE(run.dump());
    const std::string model = "model_" + std::to_string(++compared);
    const ProgramResult trained = run_program({"train",
                                               "--pairs-images",
                                               path("pairs_i"),
                                               "--pairs-texts",
                                               path("pairs_t"),
                                               "--images",
                                               path("unpaired_i"),
                                               "--texts",
                                               path("unpaired_t"),
                                               "--steps",
                                               "5",
                                               "--teacher",
                                               "cca",
                                               "--seed",
                                               "1",
                                               "--method",
                                               run["method"] == "SAIL" ? "sail" : "sotalign",
                                               "--threads",
                                               "1",
                                               "--out",
                                               path(model)});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    Json result = Json::parse(
        this->run({"eval", "--model", path(model + "/model.safetensors"), "--images", path("test_i"),
                   "--texts", path("test_t"), "--hubness", "dbs", "--threads", "1", "--json", "-"}));
    result.erase("intervals");
    result["hubness"]["corrected"].erase("intervals");
    EXPECT_EQ(run["dbs"], result["hubness"]["corrected"]);
    result.erase("hubness");
    EXPECT_EQ(run["figures"], result);
  }
  EXPECT_EQ(compared, 2);
}

TEST_F(StudyProgram, EveryTableHasDisjointRows) {
  std::string plan = kPlan;
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"[10, 20],", R"([10, 20], "disjoint": [20],)"},
        {R"("teachers": {"pairs": 20,)", R"("teachers": {"pairs": 20, "disjoint": true,)"},
        {R"("all", 1000])", R"("all", 1000, "disjoint"])"}}) {
    ASSERT_NE(plan.find(from), std::string::npos) << from;
    plan.replace(plan.find(from), from.size(), to);
  }
  write_file(path("p.json"), plan);
  // Tuning as before. SOTAlign with 20 pairs is in all sections.
  const std::string counts = run(command("out", {"--dry-run"}));
  EXPECT_CONTAINS(counts, "methods         13      16      22\n");
  EXPECT_CONTAINS(counts, "teachers        12       6      20\n");
  EXPECT_CONTAINS(counts, "unpaired         4       2       4\n");
  EXPECT_CONTAINS(counts, "shift            5       0       6\n");
  run(command("out"));
  const Json study = this->study("out");
  std::map<std::string, std::pair<Json, Json>> selected;  // of a method: with all unpaired rows, disjoint
  std::set<std::string> sections;
  for (const Json& cell : study["cells"]) {
    const bool disjoint = cell["unpaired"] == "disjoint";
    if (disjoint) sections.insert(cell["section"]);
    if (cell["section"] != "methods" || cell["pairs"] != 20 || cell["column"] == "10") continue;
    EXPECT_EQ(cell["column"], disjoint ? "20, disjoint" : "20");
    (disjoint ? selected[cell["row"]].second : selected[cell["row"]].first) = cell["selected"];
  }
  EXPECT_EQ(sections, (std::set<std::string>{"methods", "shift", "teachers", "unpaired"}));
  ASSERT_EQ(selected.size(), 3u);
  for (const auto& [method, settings] : selected) EXPECT_EQ(settings.first, settings.second) << method;
  const std::string text = read_file(path("out/study.md"));
  for (const char* part :
       {"| 20 pairs | with DBS | 20 pairs, disjoint | with DBS |\n", "\n| cca, disjoint | ",
        "\n| disjoint | ", "\n* SOTAlign beats every other method where no unpaired row"})
    EXPECT_CONTAINS(text, part);
  EXPECT_EQ(text.find("disjoint unpaired rows"), std::string::npos);  // not a step of "more unpaired rows"
  const size_t teacher = text.find("\n| cca, disjoint | ");           // bold is the best of the other rows
  EXPECT_EQ(text.substr(teacher, text.find('\n', teacher + 1) - teacher).find("**"), std::string::npos);
  EXPECT_CONTAINS(read_file(path("out/unpaired.svg")), "disjoint");
  EXPECT_EQ(read_file(path("out/pairs.svg")).find("disjoint"), std::string::npos);
}

TEST_F(StudyProgram, FinalRunsWithUnpairedRowsAreMeasuredWithDbs) {
  run(command("out", {"--sections", "unpaired"}));
  const Json runs = study("out")["runs"];
  for (const Json& run : runs) {
    const bool expected = run["key"]["role"] == "final" && run["key"]["unpaired"] != 0;
    EXPECT_EQ(run.contains("dbs"), expected) << run;
  }
  const std::string text = read_file(path("out/study.md"));
  const auto line = [&](const std::string& row) {
    const size_t at = text.find("\n| " + row + " | ");
    return at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
  };
  for (const auto& [row, cells] : {std::pair{"none (SAIL)", 2}, {"10", 4}, {"all", 4}}) {
    SCOPED_TRACE(line(row));
    size_t found = 0;
    for (size_t at = 0; (at = line(row).find(" +- ", at + 1)) != std::string::npos;) ++found;
    EXPECT_EQ(found, static_cast<size_t>(cells));
  }
  EXPECT_TRUE(line("none (SAIL)").ends_with(" | - |"));
  EXPECT_EQ(text.find("earlier version"), std::string::npos);
}

TEST_F(StudyProgram, AStudyBegunWithoutDbsIsRead) {
  run(command("out", {"--sections", "unpaired"}));
  auto file = nlohmann::ordered_json::parse(read_file(path("out/study.json")));
  file.erase("checksum");
  for (auto& run : file["runs"]) run.erase("dbs");
  write_file(path("out/study.json"), file.dump());
  const ProgramResult result = run_program({"study", "--out", path("out"), "--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find(", seed "), std::string::npos) << result.out;  // nothing is run again
  const Json after = study("out");
  EXPECT_EQ(after["runs"], Json::parse(file["runs"].dump()));
  for (const Json& cell : after["cells"]) EXPECT_FALSE(cell.contains("dbs"));
  const std::string text = read_file(path("out/study.md"));
  EXPECT_CONTAINS(text, "Runs of an earlier version were not measured with DBS");
  EXPECT_CONTAINS(text, "\n| all | ");
  EXPECT_EQ(text.find("nan"), std::string::npos);

  file["runs"][3]["dbs"] = {{"mean_r1", 2}};
  write_file(path("out/study.json"), file.dump());
  expect_refused({"study", "--out", path("out"), "--resume"}, {"runs: entry 3: dbs"});
}

TEST_F(StudyProgram, TheSettingsOfDbsAreStoredAndMustBeTheSame) {
  run(command("out", {"--sections", "unpaired"}));
  auto file = nlohmann::ordered_json::parse(read_file(path("out/study.json")));
  const Json settings = {{"kind", "dbs"}, {"bank", 1500}, {"temperature", 0.1}, {"iterations", 20}};
  EXPECT_EQ(Json::parse(file["hubness"].dump()), settings);
  const Json runs = study("out")["runs"];
  file.erase("checksum");

  // Earlier versions stored none.
  auto earlier = file;
  earlier.erase("hubness");
  write_file(path("out/study.json"), earlier.dump());
  const ProgramResult result = run_program({"study", "--out", path("out"), "--resume"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(study("out")["runs"], runs);
  EXPECT_EQ(study("out")["hubness"], settings);

  file["hubness"]["temperature"] = 0.2;
  write_file(path("out/study.json"), file.dump());
  expect_refused({"study", "--out", path("out"), "--resume"}, {"hubness", "another study"});
}

TEST_F(StudyProgram, RowsWithMorePairsAreNotBestOfTheirColumn) {
  std::string plan = kPlan;
  const std::string worth = "\"worth\": {\"method\": \"";
  plan.replace(plan.find(worth), worth.size() + 4, worth + "teacher");
  write_file(path("p.json"), plan);
  run(command("out", {"--sections", "methods"}));
  double best = 0, with_more = 0;
  const Json study = this->study("out");
  for (const Json& cell : study["cells"])
    if (cell["column"] == "10") {
      double& figure = cell["row"] == "teacher, 4 times the pairs" ? with_more : best;
      figure = std::max(figure, cell["mean"].get<double>());
    }
  ASSERT_GE(with_more, best);
  const std::string text = read_file(path("out/study.md"));
  EXPECT_CONTAINS(text, "\n| teacher, 4 times the pairs | " + std::to_string(100 * with_more).substr(0, 4));
  char shown[16];
  std::snprintf(shown, sizeof shown, "**%.1f", 100 * best);
  EXPECT_CONTAINS(text, shown);
}

TEST_F(StudyProgram, ShiftedRowsAreFartherAway) {
  files.write("oi.npy", 50, TrainingFiles::kImageDim, 30, 31);
  files.write("ot.npy", 40, TrainingFiles::kTextDim, 30, 32);
  run(command("out",
              {"--sections", "shift", "--other-images", path("oi.npy"), "--other-texts", path("ot.npy")}));
  std::map<std::string, double> distance;
  const Json study = this->study("out");
  for (const Json& cell : study["cells"])
    if (cell.contains("shift")) distance[cell["row"]] = cell["shift"];
  ASSERT_EQ(distance.size(), 5u);
  for (const char* random : {"same", "disjoint"})
    for (const char* biased : {"biased 100 %", "upper"}) EXPECT_GT(distance[biased], 1.2 * distance[random]);
  EXPECT_NE(distance["same"], distance["disjoint"]);
  EXPECT_NE(distance["upper"], distance["biased 100 %"]);
  EXPECT_CONTAINS(read_file(path("out/study.md")), "| other | 0.");
  for (const Json& run : study["runs"])
    EXPECT_EQ(run.contains("shift"), run["key"]["role"] == "final" && run["key"]["unpaired"] != 0);
}

TEST_F(StudyProgram, AnInterruptedStudyGoesOnWhereItWas) {
  run(command("whole"));
  const auto interrupt = [&](pid_t child) {
    const std::string file = path("parts/study.json");
    for (int i = 0; i < 6000; ++i) {
      if (std::filesystem::exists(file) && Json::parse(read_file(file))["runs"].size() >= 20) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(child, SIGINT);
  };
  const ProgramResult stopped = run_program(command("parts"), interrupt);
  EXPECT_EQ(stopped.exit_code, 130) << stopped.out;
  EXPECT_EQ(stopped.err, "");
  EXPECT_CONTAINS(stopped.out, "to continue: sotalign study --out " + path("parts") + " --resume");
  const Json before = study("parts");
  EXPECT_GE(before["runs"].size(), 20u);
  EXPECT_LT(before["runs"].size(), 62u);
  EXPECT_FALSE(std::filesystem::exists(path("parts/study.md")));

  std::filesystem::remove(path("p.json"));  // the study has its own
  run({"study", "--out", path("parts"), "--resume"});
  const Json whole = study("whole"), after = study("parts");
  EXPECT_EQ(without_seconds(after), without_seconds(whole));
  for (size_t i = 0; i < before["runs"].size(); ++i) EXPECT_EQ(after["runs"][i], before["runs"][i]);
  EXPECT_TRUE(std::filesystem::exists(path("parts/study.md")));
}

TEST_F(StudyProgram, AnInterruptEndsALongRunBetweenItsSteps) {
  std::string plan = kPlan;
  plan.replace(plan.find("\"steps\": 3"), 10, "\"steps\": 100000000");
  write_file(path("p.json"), plan);
  const ProgramResult stopped = run_program(command("out", {"--sections", "unpaired"}), [&](pid_t child) {
    while (!std::filesystem::exists(path("out/study.json")))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    kill(child, SIGINT);
  });
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_EQ(study("out")["runs"].size(), 0u);
}

TEST_F(StudyProgram, ResumeTakesMoreSeedsAndRefusesOtherRows) {
  run(command("out", {"--sections", "unpaired"}));
  const Json before = study("out");
  EXPECT_EQ(before["runs"].size(), 10u);
  run({"study", "--out", path("out"), "--resume", "--seeds", "0,1,2"});
  const Json after = study("out");
  ASSERT_EQ(after["runs"].size(), 13u);
  for (size_t i = 0; i < before["runs"].size(); ++i) EXPECT_EQ(after["runs"][i], before["runs"][i]);
  for (const Json& cell : after["cells"]) EXPECT_EQ(cell["mean_r1"].size(), 3u);

  expect_refused({"study", "--out", path("out"), "--resume", "--test", "10"},
                 {"test", "expected 10, found 20"});
  expect_refused({"study", "--out", path("out"), "--resume", "--threads", "2"}, {"threads"});
  files.write("i.npy", kRows, TrainingFiles::kImageDim, 7, 80);
  expect_refused({"study", "--out", path("out"), "--resume"}, {"fingerprint"});
  write_file(path("out/study.json"), "{\"runs\": 3}");
  expect_refused({"study", "--out", path("out"), "--resume"}, {"study.json", "expected the runs of a study"});
  expect_refused({"study", "--out", path("nowhere"), "--resume"}, {"nowhere", "no config.json"});
  expect_refused(command("out"), {path("out"), "--resume"});
}

TEST_F(StudyProgram, NumbersOfPairsWithoutEnoughRowsAreLeftOut) {
  std::string plan = kPlan;
  const std::string from = R"("pairs": [10, 20])";
  plan.replace(plan.find(from), from.size(), R"("pairs": [10, 79], "disjoint": [10, 79])");
  write_file(path("p.json"), plan);
  const std::vector<std::string> sections = {"--sections", "methods"};
  const std::string left_out = "left out: methods with 79 pairs, for which there are too few rows\n";
  EXPECT_CONTAINS(run(command("out", {"--sections", "methods", "--dry-run"})), left_out);
  EXPECT_EQ(run(command("out", {"--sections", "unpaired", "--dry-run"})).find("left out"), std::string::npos);
  EXPECT_CONTAINS(run(command("out", sections)), left_out);
  const std::string text = read_file(path("out/study.md"));
  EXPECT_CONTAINS(text, "\nThe data have too few rows for 79 pairs.\n");
  EXPECT_CONTAINS(text, "| method | 10 pairs | with DBS | 10 pairs, disjoint | with DBS |\n");
  EXPECT_CONTAINS(text, "SOTAlign beats every other method at every number of pairs");
  const Json cells = study("out")["cells"];
  for (const Json& cell : cells) EXPECT_LE(cell["pairs"], 40);
}

TEST_F(StudyProgram, RunsOfMethodsThatValidateAreFoundAgain) {
  write_file(path("p.json"), R"json({
    "set": {"steps": 2, "teacher": "cca"},
    "methods": [{"name": "SAIL", "set": {"method": "sail"}}, {"name": "default", "validates": true}],
    "sections": {"unpaired": {"pairs": 20, "method": "default", "without": "SAIL", "rows": ["all"]}}
  })json");
  run(command("out", {"--sections", "unpaired"}));
  const Json before = study("out")["runs"];
  run({"study", "--out", path("out"), "--resume", "--seeds", "0,1,2"});
  const Json after = study("out")["runs"];
  ASSERT_EQ(before.size(), 4u);
  ASSERT_EQ(after.size(), 6u);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i]);
  EXPECT_EQ(after[5]["key"]["validates"], true);
}

TEST_F(StudyProgram, ASettingOfDefaultsIsAnEmptyObject) {
  write_file(path("p.json"), R"json({
    "methods": [{"name": "SAIL", "set": {"method": "sail"}}, {"name": "SOTAlign"}],
    "sections": {"unpaired": {"pairs": 20, "method": "SOTAlign", "without": "SAIL", "rows": ["all"]}}
  })json");
  run(command("out", {"--sections", "unpaired"}));
  const Json runs = study("out")["runs"];
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0]["key"]["setting"], Json({{"method", "sail"}}));
  EXPECT_EQ(runs[2]["key"]["setting"], Json::object());
  EXPECT_EQ(runs[2]["point"], Json::object());
}

TEST_F(StudyProgram, ASingleSeedDecidesNothing) {
  run(command("out", {"--sections", "methods,unpaired", "--seeds", "0"}));
  const std::string text = read_file(path("out/study.md"));
  EXPECT_CONTAINS(text, "more unpaired rows help at every step: **undecided**\n");
  EXPECT_CONTAINS(text, "a single seed has no standard error and decides nothing");
  for (const char* verdict : {": **holds**", ": **fails**"}) EXPECT_EQ(text.find(verdict), std::string::npos);
}

TEST_F(StudyProgram, SeveralTuningSeedsAreAveraged) {
  run(command("out", {"--sections", "unpaired", "--tuning-seeds", "10,11"}));
  const Json study = this->study("out");
  int tuning = 0;
  for (const Json& run : study["runs"]) tuning += run["key"]["role"] == "tuning" ? 1 : 0;
  EXPECT_EQ(tuning, 8);
  for (const Json& cell : study["cells"])
    for (const Json& tried : cell["tuning"]) {
      const std::vector<double> scores =
          figures(study, cell, tried["point"], "tuning", "mean_reciprocal_rank");
      ASSERT_EQ(scores.size(), 2u);
      EXPECT_NEAR(tried["validation"], (scores[0] + scores[1]) / 2, 1e-12);
    }
}

TEST_F(StudyProgram, AStudyBegunByRecallGoesOnByRecall) {
  run(command("out", {"--sections", "methods"}));
  auto file = nlohmann::ordered_json::parse(read_file(path("out/study.json")));
  EXPECT_EQ(file["selected_by"], "mean_reciprocal_rank");
  EXPECT_CONTAINS(read_file(path("out/study.md")), "| selected setting | validation MRR, percent |");
  file.erase("checksum");
  const auto resume_with = [&](const nlohmann::ordered_json& selected_by) {
    file.erase("selected_by");
    if (!selected_by.is_null()) file["selected_by"] = selected_by;
    write_file(path("out/study.json"), file.dump());
  };
  const std::vector<std::string> resume = {"study", "--out", path("out"), "--resume"};
  resume_with("best");
  expect_refused(resume, {"selected_by", "expected mean_reciprocal_rank or mean_r1", "best"});
  bool differs = false;
  for (const nlohmann::ordered_json& selected_by :
       {nlohmann::ordered_json(), nlohmann::ordered_json("mean_r1")}) {
    resume_with(selected_by);
    ASSERT_EQ(run_program(resume).exit_code, 0);
    const Json study = this->study("out");
    EXPECT_EQ(study["selected_by"], "mean_r1");
    ASSERT_EQ(study["cells"].size(), 10u);
    for (const Json& cell : study["cells"]) {
      SCOPED_TRACE(cell.dump());
      double best = -1;
      Json selected;
      for (const Json& tried : cell["tuning"]) {
        const double score = figures(study, cell, tried["point"], "tuning", "mean_r1").at(0);
        EXPECT_EQ(tried["validation"], score);
        if (score > best) best = score, selected = tried["point"];
        differs =
            differs || score != figures(study, cell, tried["point"], "tuning", "mean_reciprocal_rank").at(0);
      }
      EXPECT_EQ(cell["selected"], selected);
    }
    EXPECT_CONTAINS(read_file(path("out/study.md")), "| selected setting | validation MeanR@1, percent |");
  }
  EXPECT_TRUE(differs);
}

TEST_F(StudyProgram, TestAndValidationRowsAreAsManyAsAskedFor) {
  run(command("out", {"--sections", "unpaired", "--test", "17", "--validation", "13"}));
  const Json study = this->study("out");
  ASSERT_EQ(study["runs"].size(), 10u);
  for (const Json& run : study["runs"])
    EXPECT_EQ(run["figures"]["image_to_text"]["queries"], run["key"]["role"] == "final" ? 17 : 13);
}

TEST_F(StudyProgram, RefusesPlansBeforeAnythingRuns) {
  expect_plan_refused("\"ridge\"", "\"rigde\"", {"bad.json", "teacher", "unknown key \"rigde\"", "'ridge'"});
  expect_plan_refused("\"steps\": 3", "\"steps\": \"3\"", {"bad.json", "steps", "an integer"});
  expect_plan_refused("\"worth\"", "\"wort\"", {"unknown key \"wort\"", "'worth'"});
  expect_plan_refused("[0.001, 0.01]", "[0.001, -0.01]", {"SAIL", "learning_rate", "-0.01"});
  expect_plan_refused("[0.001, 0.01]", "[0.001, 0.01, 0.1]", {"grids of equal size", "SAIL"});
  expect_plan_refused("[0.001, 0.01]", "[0.001, 0.001]", {"settings that differ"});
  expect_plan_refused("[0.001, 0.01]", "[]", {"learning_rate", "a list that is not empty"});
  expect_plan_refused("[{\"divergence_weight\": 1}, ", "[1, ", {"objects of training options", "found 1"});
  expect_plan_refused("\"proposed\": [\"SOTAlign\"]", "\"proposed\": [\"SOTA\"]", {"proposed", "SOTA"});
  expect_plan_refused("[\"teacher\", \"SAIL\"", "[\"teacher\", \"SAIM\"", {"no method 'SAIM'", "'SAIL'"});
  expect_plan_refused("\"name\": \"SAIL\"", "\"name\": \"teacher\"", {"'teacher' twice"});
  expect_plan_refused("\"name\": \"SAIL\", ", "", {"entry 1", "'name'"});
  expect_plan_refused("\"measure\": \"teacher\"", "\"measure\": \"pupil\"", {"heads or teacher", "pupil"});
  expect_plan_refused("\"biased\": 1", "\"biased\": 2", {"biased", "found"});
  expect_plan_refused("[10, \"all\"", "[0, \"all\"", {"unpaired", "found 0"});
  expect_plan_refused("[10, \"all\"", "[\"same\", \"all\"", {"all, disjoint or integers", "same"});
  expect_plan_refused("[10, 20],", "[10, 20], \"disjoint\": [15],", {"disjoint", "found 15"});
  expect_plan_refused("[10, 20],", "[10, 20], \"disjoint\": true,", {"disjoint", "found true"});
  expect_plan_refused("\"pairs\": 20,", "\"pairs\": 20, \"disjoint\": 1,", {"disjoint", "true or false"});
  expect_plan_refused("\"pairs\": [10, 20]", "\"pairs\": [10, 1]", {"pairs", "found 1"});
  expect_plan_refused("\"pairs\": [10, 20]", "\"pairs\": [80, 79]", {"79 pairs", "found 120"});
  expect_plan_refused("\"proposed\": \"klot\"", "\"proposed\": \"kloot\"", {"proposed", "kloot"});
  expect_plan_refused("{\"name\": \"cca\"}", "{\"name\": \"cca\", \"grid\": {\"ridge\": [1]}}",
                      {"teachers without a grid"});
  expect_plan_refused("\"steps\": 3}", "\"steps\": 3", {"bad.json", "valid JSON"});
}

TEST_F(StudyProgram, RefusesOtherMistakes) {
  expect_refused({"study", "--images", path("i.npy"), "--texts", path("t.npy")}, {"--out"});
  expect_refused({"study", "--images", path("i.npy"), "--out", path("refused")}, {"--texts"});
  expect_refused(command("refused", {"--seeds", "0,0"}), {"seeds", "0 twice"});
  expect_refused(command("refused", {"--seeds", "-1"}), {"seeds", "-1"});
  expect_refused(command("refused", {"--tuning-seeds", ""}), {"tuning"});
  expect_refused(command("refused", {"--sections", "methods,teacher"}), {"sections", "'teacher'"});
  expect_refused(command("refused", {"--sections", "shift,shift"}), {"sections", "twice"});
  expect_refused(command("refused", {"--test", "0"}), {"test", "found 0"});
  expect_refused(command("refused", {"--validation", "0"}), {"validation", "found 0"});
  expect_refused(command("refused", {"--test", "99"}), {"99 test"});
  expect_refused(command("refused", {"--other-images", path("i.npy")}), {"--other-texts"});
  expect_refused(command("refused", {"--other-images", path("t.npy"), "--other-texts", path("t.npy")}),
                 {"t.npy", "expected 12 columns", "found 9"});
  files.write("t.npy", kRows - 1, TrainingFiles::kTextDim, 7, 9);
  expect_refused(command("refused"), {"120 and 119"});
}

}  // namespace program_study_test
}  // namespace sotalign::testing
