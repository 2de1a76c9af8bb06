// Renamed options: the former names work as flags and as keys, with one note each; files and plans of earlier
// versions are read and continued; whatever is written has the present names.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sotalign/io/checksum.h"
#include "support/program_data.h"
#include "support/test_files.h"

namespace sotalign::testing {
namespace program_former_names_test {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The text with the former names in place of the present ones.
std::string as_before(std::string text) {
  for (const auto& [name, former] : {std::pair<std::string, std::string>{"divergence_weight", "klot_weight"},
                                     {"affinity_memory", "klot_memory"}})
    for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += former.size())
      text.replace(at, name.size(), former);
  return text;
}

void remove_seconds(Json& value) {
  if (value.is_object()) value.erase("seconds");
  if (value.is_structured())
    for (Json& part : value) remove_seconds(part);
}

/// What stays when the same work is done again.
Json lasting(Json file) {
  remove_seconds(file);
  file.erase("checksum");
  return file;
}

/// A sweep.json or study.json as the version before the renaming wrote it.
std::string with_checksum(Json file) {
  file.erase("checksum");
  file["checksum"] = checksum(lasting(file).dump());
  return file.dump(2);
}

class FormerNames : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }
  Json json(const std::string& name) const { return Json::parse(read_file(path(name))); }

  void expect_one_line(const ProgramResult& result, const std::string& part) const {
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(fs::exists(path("refused")));
  }
  void expect_only_present_names(const std::string& directory) const {
    for (const fs::directory_entry& file : fs::directory_iterator(path(directory))) {
      const std::string text = read_file(file.path());
      EXPECT_EQ(text.find("klot_weight"), std::string::npos) << file.path();
      EXPECT_EQ(text.find("klot_memory"), std::string::npos) << file.path();
    }
  }
  const TrainingFiles files;
};

TEST_F(FormerNames, AFlagWorksWithANote) {
  const std::vector<std::string> present = {"--divergence-weight",   "3", "--affinity-memory", "streamed",
                                            "--affinity-memory-mib", "7", "--steps",           "2"};
  std::vector<std::string> former;
  former.reserve(present.size());
  for (const std::string& word : present)
    former.push_back(word == "--divergence-weight"     ? "--klot-weight"
                     : word == "--affinity-memory"     ? "--klot-memory"
                     : word == "--affinity-memory-mib" ? "--klot-memory-mib"
                                                       : word);
  EXPECT_EQ(files.train("present", present).err, "");
  EXPECT_EQ(files.train("former", former).err,
            "note: --klot-weight is now --divergence-weight\n"
            "note: --klot-memory is now --affinity-memory\n"
            "note: --klot-memory-mib is now --affinity-memory-mib\n");
  EXPECT_EQ(read_file(path("former/model.safetensors")), read_file(path("present/model.safetensors")));
  expect_only_present_names("former");
  EXPECT_EQ(json("former/config.json")["divergence_weight"], 3.0);
  EXPECT_EQ(json("former/config.json")["affinity_memory_mib"], 7.0);

  // As with any flag the last one counts, and the note is there once.
  EXPECT_EQ(files.train("twice", {"--klot-weight", "2", "--klot-weight", "5", "--steps", "1"}).err,
            "note: --klot-weight is now --divergence-weight\n");
  EXPECT_EQ(json("twice/config.json")["divergence_weight"], 5.0);
  EXPECT_EQ(files.train("quiet", {"--klot-weight", "2", "--steps", "1", "--quiet"}).err, "");

  files.write("k.npy", 9, 8, 1, 1);
  const auto klot = [&](const std::string& flag) {
    return run_program({"klot", "--student", path("k.npy"), "--teacher", path("k.npy"), flag, "fixed16"});
  };
  EXPECT_EQ(lasting(Json::parse(klot("--klot-memory").out)),
            lasting(Json::parse(klot("--affinity-memory").out)));
  EXPECT_CONTAINS(klot("--klot-memory").out, "16-bit fixed point");
  EXPECT_EQ(klot("--klot-memory").err, "note: --klot-memory is now --affinity-memory\n");
}

TEST_F(FormerNames, AKeyOfAConfigurationWorksWithANote) {
  write_file(path("c.json"), R"({"klot_weight": 3, "steps": 1})");
  const std::string note = "note: " + path("c.json") + ": klot_weight is now divergence_weight\n";
  EXPECT_EQ(files.train("key", {"--config", path("c.json")}).err, note);
  EXPECT_EQ(json("key/config.json")["divergence_weight"], 3.0);
  // A flag wins over the file, under either name; one note for one former name.
  EXPECT_EQ(files.train("flag", {"--config", path("c.json"), "--divergence-weight", "4"}).err, note);
  EXPECT_EQ(json("flag/config.json")["divergence_weight"], 4.0);
  EXPECT_EQ(files.train("former_flag", {"--config", path("c.json"), "--klot-weight", "5"}).err,
            "note: --klot-weight is now --divergence-weight\n");
  EXPECT_EQ(json("former_flag/config.json")["divergence_weight"], 5.0);
  write_file(path("c.json"), R"({"klot_weight": 3, "steps": 1, "quiet": true})");
  EXPECT_EQ(files.train("quiet", {"--config", path("c.json")}).err, "");
}

TEST_F(FormerNames, BothNamesAreRefused) {
  const std::string flags = "--klot-weight: expected either this or its new name --divergence-weight";
  expect_one_line(files.train("refused", {"--klot-weight", "3", "--divergence-weight", "3"}), flags);
  expect_one_line(files.train("refused", {"--divergence-weight", "3", "--klot-weight", "3"}), flags);
  for (const char* text : {R"({"klot_weight": 3, "divergence_weight": 3})",
                           R"({"divergence_weight": 3, "steps": 1, "klot_weight": 3})"}) {
    write_file(path("c.json"), text);
    expect_one_line(files.train("refused", {"--config", path("c.json")}),
                    path("c.json") + ": klot_weight: expected either this or its new name divergence_weight");
  }
  expect_one_line(
      files.command("sweep", "refused", {"--vary", "klot_weight=1,2", "--vary", "divergence_weight=3"}),
      "--vary: expected klot_weight under one name, found also divergence_weight");
  expect_one_line(
      files.command("sweep", "refused",
                    {"--random", "2", "--vary", "divergence_weight=1,2", "--range", "klot_weight=1..2"}),
      "--range: expected divergence_weight under one name, found also klot_weight");
  expect_one_line(
      files.command("sweep", "refused", {"--vary", "divergence_weight=1,2", "--klot-weight", "3"}),
      "--klot-weight: expected no single value, as the sweep varies divergence_weight");
}

TEST_F(FormerNames, ErrorsHaveTheNameThatTheUserWrote) {
  expect_one_line(files.train("refused", {"--klot-weight", "many"}),
                  "--klot-weight: expected a finite number, found 'many'");
  write_file(path("c.json"), R"({"klot_weight": "3"})");
  expect_one_line(files.train("refused", {"--config", path("c.json")}),
                  "klot_weight: expected a finite number, found \"3\"");
  expect_one_line(files.command("sweep", "refused", {"--vary", "klot_weight=1,many"}),
                  "--vary: klot_weight: expected a finite number");
  expect_one_line(files.command("sweep", "refused", {"--vary", "klot_weight=1,1.0"}),
                  "--vary: klot_weight: 1 is given twice");
  ASSERT_EQ(files.train("run", {"--steps", "2", "--stop-after", "1"}).exit_code, 0);
  expect_one_line(run_program({"train", "--out", path("run"), "--resume", "--klot-weight", "3"}),
                  "--klot-weight: not allowed with --resume");
}

TEST_F(FormerNames, OnlyThePresentNamesAreSuggestedAndListed) {
  // A misspelt former name leads to the present one.
  expect_one_line(files.train("refused", {"--klot-wieght", "3"}),
                  "unknown option '--klot-wieght'; the nearest one is '--divergence-weight'");
  expect_one_line(files.train("refused", {"--klot-memory-mb", "3"}), "'--affinity-memory-mib'");
  write_file(path("c.json"), R"({"klot_wieght": 3})");
  expect_one_line(files.train("refused", {"--config", path("c.json")}),
                  "unknown key \"klot_wieght\"; the nearest known key is 'divergence_weight'");
  expect_one_line(files.command("sweep", "refused", {"--vary", "klot_memroy=auto"}), "'affinity_memory'");
  for (const char* command : {"train", "sweep", "compare", "klot"}) {
    const std::string help = run_program({command, "--help-all"}).out;
    EXPECT_CONTAINS(help, "--affinity-memory");
    for (const char* former : {"klot-weight", "klot-memory", "klot_weight", "klot_memory"})
      EXPECT_EQ(help.find(former), std::string::npos) << command << ": " << former;
  }
}

TEST_F(FormerNames, ASweepVariesThemLikeThePresentOnes) {
  const auto sweep = [&](const std::string& out, const std::vector<std::string>& options) {
    const ProgramResult result = files.command("sweep", out, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  EXPECT_EQ(sweep("present", {"--vary", "divergence_weight=0,3", "--steps", "2"}), "");
  EXPECT_EQ(sweep("former", {"--vary", "klot_weight=0,3", "--steps", "2"}),
            "note: --vary: klot_weight is now divergence_weight\n");
  EXPECT_EQ(lasting(json("former/sweep.json")), lasting(json("present/sweep.json")));
  EXPECT_TRUE(read_file(path("former/sweep.csv")).starts_with("run,divergence_weight,"));
  expect_only_present_names("former");

  // The draws of the version before the renaming.
  const std::vector<double> weights = {13.7, 16.95, 18.93, 10.4, 18.21, 16.56};
  for (const std::string key : {"divergence_weight", "klot_weight"}) {
    sweep(key, {"--random", "6", "--sweep-seed", "3", "--range", key + "=10..20", "--steps", "1"});
    const Json written = json(key + "/sweep.json");
    ASSERT_EQ(written["runs"].size(), weights.size());
    for (size_t i = 0; i < weights.size(); ++i)
      EXPECT_EQ(written["runs"][i]["settings"], Json({{"divergence_weight", weights[i]}}));
    expect_only_present_names(key);
  }
}

TEST_F(FormerNames, AnOldSweepContinues) {
  const auto options = [&](const std::string& key, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--vary", key + "=0,3,30", "--steps", "2", "--affinity-memory", "stored"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(files.command("sweep", "whole", options("divergence_weight", {})).exit_code, 0);
  ASSERT_EQ(
      files.command("sweep", "parts", options("divergence_weight", {"--stop-after-runs", "2"})).exit_code, 0);
  const Json part = Json::parse(as_before(read_file(path("parts/sweep.json"))));
  ASSERT_EQ(part["runs"].size(), 2u);
  ASSERT_EQ(part["options"]["vary"][0], "klot_weight=0,3,30");
  const Json whole = lasting(json("whole/sweep.json"));
  const auto expect_continued = [&](const ProgramResult& result) {
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_CONTAINS(result.out, "2 are done");
    EXPECT_CONTAINS(result.err, "sweep.json: options: klot_weight is now divergence_weight\n");
    EXPECT_EQ(result.err.find("klot_weight"), result.err.rfind("klot_weight"));
    EXPECT_EQ(lasting(json("parts/sweep.json")), whole);
    EXPECT_TRUE(read_file(path("parts/sweep.csv")).starts_with("run,divergence_weight,"));
  };
  const auto resume = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"sweep", "--out", path("parts"), "--resume"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  };

  write_file(path("parts/sweep.json"), with_checksum(part));
  expect_continued(resume({}));
  // The stored options are compared by their present names.
  for (const char* key : {"divergence_weight", "klot_weight"}) {
    write_file(path("parts/sweep.json"), with_checksum(part));
    const ProgramResult other = files.command("sweep", "parts", options(key, {"--resume", "--steps", "3"}));
    expect_one_line(other, "expected steps 2 as in this sweep, found 3");
    expect_continued(files.command("sweep", "parts", options(key, {"--resume"})));
  }
  // sotalign 0.1 wrote no checksums and had fewer machine options.
  Json first = part;
  first.erase("checksum");
  first.erase("data");
  for (const char* key : {"force_threads", "device", "threads", "quiet", "checkpoint_every", "log_every"})
    ASSERT_EQ(first["options"].erase(key), 1u) << key;
  write_file(path("parts/sweep.json"), first.dump(2));
  expect_continued(resume({}));
  write_file(path("parts/sweep.json"), first.dump(2));
  expect_continued(files.command("sweep", "parts", options("divergence_weight", {"--resume"})));
  // An option that decides the result has to be there.
  first["options"].erase("steps");
  write_file(path("parts/sweep.json"), first.dump(2));
  expect_one_line(resume({}), "expected the key 'steps', found none");
  // Both names in a stored object.
  Json both = part;
  both.erase("checksum");
  both["options"]["divergence_weight"] = 3;
  write_file(path("parts/sweep.json"), both.dump(2));
  expect_one_line(resume({}), "options: klot_weight: expected either this or its new name divergence_weight");
}

class FormerNamesInStudies : public FormerNames {
 protected:
  static constexpr const char* kPlan = R"json({
    "set": {"steps": 2, "affinity_memory": "stored"},
    "methods": [
      {"name": "SAIL", "set": {"divergence_weight": 0}, "grid": {"learning_rate": [0.001, 0.01]}},
      {"name": "SOTAlign", "grid": [{"divergence_weight": 1}, {"divergence_weight": 10}]}],
    "sections": {
      "methods": {"pairs": [10], "methods": ["SAIL", "SOTAlign"], "proposed": ["SOTAlign"],
                  "worth": {"method": "SAIL", "times": [2]}},
      "teachers": {"pairs": 10, "teachers": [{"name": "cca", "set": {"affinity_memory_mib": 5}}],
                   "divergences": [{"name": "cka", "set": {"divergence": "cka"},
                                    "grid": {"divergence_weight": [1, 10]}}], "proposed": "cka"}
    }})json";

  void SetUp() override {
    files.write("i.npy", 80, TrainingFiles::kImageDim, 7, 8);
    files.write("t.npy", 80, TrainingFiles::kTextDim, 7, 9);
  }
  ProgramResult study(const std::string& out, const std::string& plan) const {
    write_file(path("plan.json"), plan);
    return run_program({"study", "--images", path("i.npy"), "--texts", path("t.npy"), "--test", "20",
                        "--validation", "20", "--plan", path("plan.json"), "--sections", "methods,teachers",
                        "--seeds", "0,1", "--out", path(out)});
  }
};

TEST_F(FormerNamesInStudies, APlanWorksWithANote) {
  ASSERT_EQ(study("present", kPlan).err, "");
  const std::string notes = study("former", as_before(kPlan)).err;
  SCOPED_TRACE(notes);
  EXPECT_EQ(std::count(notes.begin(), notes.end(), '\n'), 3);
  for (const char* part :
       {"SAIL: klot_weight is now divergence_weight\n", "klot_memory is now affinity_memory\n",
        "klot_memory_mib is now affinity_memory_mib\n"})
    EXPECT_CONTAINS(notes, part);
  EXPECT_EQ(lasting(json("former/study.json")), lasting(json("present/study.json")));
  EXPECT_EQ(read_file(path("former/plan.json")), read_file(path("present/plan.json")));
  EXPECT_CONTAINS(read_file(path("former/study.md")), "divergence_weight 1 / 10");
  expect_only_present_names("former");
}

TEST_F(FormerNamesInStudies, BothNamesInAPlanAreRefused) {
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string plan = kPlan;
    ASSERT_NE(plan.find(from), std::string::npos) << from;
    plan.replace(plan.find(from), from.size(), to);
    expect_one_line(study("refused", plan),
                    "klot_weight: expected either this or its new name divergence_weight");
  };
  refused(R"({"divergence_weight": 0})", R"({"divergence_weight": 0, "klot_weight": 0})");
  refused(R"({"divergence_weight": 10})", R"({"klot_weight": 10, "divergence_weight": 10})");
  refused(R"({"divergence_weight": [1, 10]})", R"({"klot_weight": [1], "divergence_weight": [1, 10]})");
  // In two objects they are two layers, and the inner one counts.
  std::string layers = kPlan;
  layers.replace(layers.find("\"steps\": 2"), 10, "\"steps\": 2, \"klot_weight\": 7");
  EXPECT_EQ(study("layers", layers).exit_code, 0);
}

TEST_F(FormerNamesInStudies, AnOldStudyContinues) {
  ASSERT_EQ(study("whole", kPlan).exit_code, 0);
  fs::create_directory(path("parts"));
  std::string config = read_file(path("whole/config.json"));
  config.replace(config.find(path("whole")), path("whole").size(), path("parts"));
  write_file(path("parts/config.json"), config);
  write_file(path("parts/plan.json"), as_before(read_file(path("whole/plan.json"))));
  Json half = json("whole/study.json");
  const size_t runs = half["runs"].size();
  ASSERT_EQ(runs, 16u);
  half["runs"].erase(half["runs"].begin() + 8, half["runs"].end());
  half["cells"] = Json::array();
  half = Json::parse(as_before(half.dump()));
  ASSERT_TRUE(half["defaults"].contains("klot_weight"));

  half.erase("checksum");
  for (const std::string& text : {with_checksum(half), half.dump()}) {
    write_file(path("parts/study.json"), text);
    const ProgramResult result = run_program({"study", "--out", path("parts"), "--resume"});
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 0);
    // Only the other half is run.
    size_t lines = 0;
    for (size_t at = 0; (at = result.out.find(", seed ", at)) != std::string::npos; ++at) ++lines;
    EXPECT_EQ(lines, runs - 8);
    EXPECT_CONTAINS(result.err, "klot_weight is now divergence_weight\n");
    EXPECT_EQ(lasting(json("parts/study.json")), lasting(json("whole/study.json")));
    EXPECT_EQ(read_file(path("parts/plan.json")), read_file(path("whole/plan.json")));
    expect_only_present_names("parts");
  }
}

TEST_F(FormerNamesInStudies, ACommittedStudyIsReadWithAllItsRuns) {
  const std::string committed = testing::test_files() + "/../bench/results/study_emoji/",
                    data = fs::absolute(SOTALIGN_DEMO_DATA).lexically_normal();
  fs::create_directory(path("study"));
  fs::copy(committed + "plan.json", path("study/plan.json"));
  Json file = Json::parse(read_file(committed + "study.json"));
  ASSERT_TRUE(file["defaults"].contains("klot_weight"));
  // If a training option is added, a study without it does not continue: add it to `file["defaults"]` here.
  Json defaults = Json::object();
  for (const auto& [key, value] : file["defaults"].items()) {
    if (key == "initialization")
      defaults.update({{"self_training_passes", 12},
                       {"self_training_batch", 2500},
                       {"self_training_weight", 0.3},
                       {"self_training_rate", 0.5},
                       {"self_training_epsilon", 0.05}});
    defaults[key] = value;
    if (key == "weight_decay") defaults["math"] = "tf32";
    if (key == "relaxation")
      defaults.update(
          {{"relaxation", "auto"}, {"relaxation_student", 1.3}, {"relaxation_teacher", 1.7}});  // then 1
  }
  defaults["teacher"] = "auto";  // then it was cca
  file["defaults"] = defaults;
  const Json runs = file["runs"];
  Json config = {{"images", data + "/images.npy"},
                 {"texts", data + "/texts.npy"},
                 {"validation", 300},
                 {"sections", "unpaired,shift"},
                 {"device", "cpu"},
                 {"threads", file["threads"]},
                 {"force_threads", true}};
  write_file(path("study/config.json"), config.dump());
  const auto resume = [&] {
    write_file(path("study/study.json"), file.dump());
    return run_program({"study", "--out", path("study"), "--resume"});
  };
  file["images"] = config["images"], file["texts"] = config["texts"];
  // Figures of another version are not mixed with those of this one.
  const ProgramResult older = resume();
  EXPECT_EQ(older.exit_code, 2);
  EXPECT_CONTAINS(older.err, "sotalign: the runs belong to another study");
  const std::string version = run_program({"--version"}).out;
  file["sotalign"] = version.substr(version.find(' ') + 1, version.find('\n') - version.find(' ') - 1);
  const ProgramResult result = resume();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find(", seed "), std::string::npos) << result.out;  // nothing is run again
  EXPECT_EQ(as_before(json("study/study.json")["runs"].dump()), runs.dump());
  EXPECT_EQ(as_before(json("study/plan.json").dump()),
            Json::parse(read_file(committed + "plan.json")).dump());
  expect_only_present_names("study");
}

}  // namespace program_former_names_test
}  // namespace sotalign::testing
