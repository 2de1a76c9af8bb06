// Banks in models and what --hubness makes of them, as users see it. Corrected figures are computed again
// from the files of embed, in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "sotalign/core/random.h"
#include "sotalign/io/safetensors.h"
#include "support/npy.h"
#include "support/program_data.h"

namespace sotalign::testing {
namespace program_hubness_test {

using Json = nlohmann::json;
using Doubles = std::vector<double>;

/// Rows of a file or tensor.
struct Rows {
  Doubles values;
  size_t cols = 1;

  size_t count() const { return values.size() / cols; }
  double dot(size_t row, const Rows& other, size_t other_row) const {
    double sum = 0;
    for (size_t j = 0; j < cols; ++j) sum += values[row * cols + j] * other.values[other_row * cols + j];
    return sum;
  }
};

double log_sum_exp(const Doubles& x) {
  const double most = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - most);
  return most + std::log(sum);
}

/// The rank of the right row for every query, by cosine less correction; ties count against it.
std::vector<size_t> ranks(const Rows& queries, const Rows& gallery, const Doubles& corrections,
                          const std::vector<size_t>& right) {
  std::vector<size_t> result;
  for (size_t i = 0; i < queries.count(); ++i) {
    const auto score = [&](size_t j) { return queries.dot(i, gallery, j) - corrections[j]; };
    size_t rank = 1;
    for (size_t j = 0; j < gallery.count(); ++j)
      rank += j != right[i] && !(score(j) < score(right[i]) - 1e-6) ? 1 : 0;
    result.push_back(rank);
  }
  return result;
}

double share_up_to(const std::vector<size_t>& ranks, size_t k) {
  const auto count = std::count_if(ranks.begin(), ranks.end(), [k](size_t rank) { return rank <= k; });
  return static_cast<double>(count) / static_cast<double>(ranks.size());
}

std::vector<size_t> own_rows(size_t count) {
  std::vector<size_t> rows(count);
  for (size_t i = 0; i < count; ++i) rows[i] = i;
  return rows;
}

class HubnessProgram : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return files / name; }

  ProgramResult run(const std::vector<std::string>& arguments) const {
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
  Json json(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--json", "-"});
    return Json::parse(run(arguments).out);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& part) const {
    const int64_t entries = files.entries();
    const ProgramResult result = run_program(arguments);
    SCOPED_TRACE(result.err);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(files.entries(), entries);
  }

  std::string trained(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> options = {"--steps", "3"};
    options.insert(options.end(), more.begin(), more.end());
    EXPECT_EQ(files.train(name, options).exit_code, 0);
    return path(name + "/model.safetensors");
  }
  std::string teacher(const std::string& name, const std::vector<std::string>& more = {}) const {
    EXPECT_EQ(files.command("teacher", name, more).exit_code, 0);
    return path(name);
  }

  std::vector<std::string> eval(const std::string& model, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "eval", "--model", model, "--images", path("val_images.npy"), "--texts", path("val_texts.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  Rows rows_of(const std::string& name) const {
    const GoldenArray array = read_golden(path(name));
    return {array.values, array.shape.size() == 2 ? static_cast<size_t>(array.shape[1]) : 1};
  }
  static Rows tensor(const SafetensorsFile& file, const std::string& name) {
    const std::vector<int64_t>& shape = file.shape(name);
    return {file.read_double(name), shape.size() == 2 ? static_cast<size_t>(shape[1]) : 1};
  }

  struct Embedded {
    Rows rows;
    Doubles corrections;
  };
  /// Embeds the validation rows of a side ("image") and writes their corrections.
  Embedded embedded(const std::string& model, const std::string& side, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"embed",
                                          "--model",
                                          model,
                                          "--side",
                                          side,
                                          "--input",
                                          path("val_" + side + "s.npy"),
                                          "--output",
                                          path("e.npy"),
                                          "--corrections",
                                          path("c.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    run(arguments);
    const GoldenArray corrections = read_golden(path("c.npy"));
    EXPECT_EQ(corrections.shape, std::vector<int64_t>{TrainingFiles::kValidation});
    return {rows_of("e.npy"), corrections.values};
  }

  TrainingFiles files;
};

const std::vector<std::vector<std::string>> kKinds = {
    {"--hubness", "dbs"},
    {"--hubness", "dbs", "--hubness-temperature", "0.4"},
    {"--hubness", "inverted_softmax", "--hubness-temperature", "0.03"},
    {"--hubness", "csls", "--hubness-neighbours", "4"}};

TEST_F(HubnessProgram, CorrectedFiguresAreThoseOfCosinesLessCorrections) {
  const std::string model = trained("run");
  const Json plain = json(eval(model));
  EXPECT_FALSE(plain.contains("hubness"));
  EXPECT_EQ(json(eval(model, {"--hubness", "none"})), plain);
  int changed = 0;
  for (const std::vector<std::string>& kind : kKinds) {
    SCOPED_TRACE(kind[1]);
    Json both = json(eval(model, kind));
    const Json hubness = both["hubness"];
    both.erase("hubness");
    EXPECT_EQ(both, plain);
    EXPECT_EQ(hubness["kind"], kind[1]);
    if (kind[1] == "csls") {
      EXPECT_EQ(hubness["neighbours"], 4);
    } else {
      EXPECT_EQ(hubness["temperature"].get<double>(), kind.size() > 2 ? std::stod(kind[3]) : 0.1);
    }
    EXPECT_EQ(hubness["bank_images"], TrainingFiles::kImages);
    EXPECT_EQ(hubness["bank_texts"], TrainingFiles::kTexts);
    const Embedded images = embedded(model, "image", kind), texts = embedded(model, "text", kind);
    const std::vector<size_t> own = own_rows(images.rows.count());
    const std::vector<size_t> to_text = ranks(images.rows, texts.rows, texts.corrections, own),
                              to_image = ranks(texts.rows, images.rows, images.corrections, own);
    const Json& corrected = hubness["corrected"];
    for (const auto& [direction, rank] :
         {std::pair("image_to_text", &to_text), std::pair("text_to_image", &to_image)})
      for (const auto& [key, k] : {std::pair("r1", size_t{1}), std::pair("r5", size_t{5})})
        EXPECT_WITHIN(std::abs(corrected[direction][key].get<double>() - share_up_to(*rank, k)), 1e-12);
    EXPECT_WITHIN(std::abs(corrected["mean_r1"].get<double>() -
                           (share_up_to(to_text, 1) + share_up_to(to_image, 1)) / 2),
                  1e-12);
    changed += corrected != plain ? 1 : 0;

    const std::string table = run(eval(model, kind)).out;
    EXPECT_CONTAINS(table, "\n  heads ");
    EXPECT_CONTAINS(table, "\n  heads, " + kind[1]);
  }
  EXPECT_GT(changed, 0) << "the corrections change no figure, so the test shows nothing";
}

TEST_F(HubnessProgram, CorrectionsFollowFromTheBankInTheModel) {
  const std::string model = trained("run", {"--hubness-bank", "30"});
  const SafetensorsFile file = SafetensorsFile::open(model);
  for (const std::string side : {"image", "text"}) {
    SCOPED_TRACE(side);
    const std::string other = side == "image" ? "text" : "image";
    const Rows bank = tensor(file, "hubness." + other + "s");
    const Doubles potentials = tensor(file, "hubness." + other + "_potentials").values;
    ASSERT_EQ(bank.count(), 30u);
    ASSERT_EQ(potentials.size(), 30u);
    for (const std::string kind : {"", "inverted_softmax", "csls"}) {
      SCOPED_TRACE(kind);
      std::vector<std::string> more;
      if (!kind.empty()) more = {"--hubness", kind};  // else dbs
      const Embedded gallery = embedded(model, side, more);
      double largest = 0;
      for (size_t i = 0; i < gallery.rows.count(); ++i) {
        Doubles terms;
        for (size_t j = 0; j < bank.count(); ++j) {
          const double cosine = gallery.rows.dot(i, bank, j);
          const double weight = kind.empty() ? potentials[j] : -std::log(static_cast<double>(bank.count()));
          terms.push_back(kind == "csls" ? cosine : cosine / 0.1 + weight);
        }
        double expected = 0.1 * log_sum_exp(terms);
        if (kind == "csls") {
          std::sort(terms.rbegin(), terms.rend());
          expected = 0;
          for (size_t n = 0; n < 10; ++n) expected += terms[n] / 20;
        }
        EXPECT_WITHIN(std::abs(gallery.corrections[i] - expected), 1e-6);
        largest = std::max(largest, std::abs(expected));
      }
      EXPECT_GT(largest, 0.01);
    }
  }
}

TEST_F(HubnessProgram, ZeroShotClassesAreCorrected) {
  const std::string model = trained("run");
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < TrainingFiles::kValidation; ++i) classes.push_back(i % 7);
  write_npy(path("classes.npy"), classes);
  std::vector<std::string> arguments = {"zeroshot",
                                        "--model",
                                        model,
                                        "--images",
                                        path("val_images.npy"),
                                        "--labels",
                                        path("classes.npy"),
                                        "--prompts",
                                        path("val_texts.npy"),
                                        "--prompt-classes",
                                        path("classes.npy")};
  const Json plain = json(arguments);
  arguments.insert(arguments.end(), {"--hubness", "inverted_softmax", "--hubness-temperature", "0.2"});
  const std::string line = run(arguments).out;
  EXPECT_CONTAINS(line, "\nwith inverted_softmax: top-1 ");
  Json both = json(arguments);
  const Json hubness = both["hubness"];
  both.erase("hubness");
  EXPECT_EQ(both, plain);

  const Rows images = embedded(model, "image", {}).rows, prompts = embedded(model, "text", {}).rows;
  Rows means{Doubles(7 * prompts.cols), prompts.cols};
  for (size_t i = 0; i < prompts.count(); ++i)
    for (size_t j = 0; j < prompts.cols; ++j)
      means.values[(i % 7) * prompts.cols + j] += prompts.values[i * prompts.cols + j];
  for (size_t c = 0; c < 7; ++c) {
    const double length = std::sqrt(means.dot(c, means, c));
    for (size_t j = 0; j < prompts.cols; ++j) means.values[c * prompts.cols + j] /= length;
  }
  const Rows bank = tensor(SafetensorsFile::open(model), "hubness.images");
  Doubles corrections;
  for (size_t c = 0; c < 7; ++c) {
    Doubles terms;
    for (size_t j = 0; j < bank.count(); ++j) terms.push_back(means.dot(c, bank, j) / 0.2);
    corrections.push_back(0.2 * (log_sum_exp(terms) - std::log(static_cast<double>(bank.count()))));
  }
  std::vector<size_t> labels;
  for (size_t i = 0; i < images.count(); ++i) labels.push_back(i % 7);
  const std::vector<size_t> expected = ranks(images, means, corrections, labels);
  EXPECT_WITHIN(std::abs(hubness["corrected"]["top1"].get<double>() - share_up_to(expected, 1)), 1e-12);
  EXPECT_WITHIN(std::abs(hubness["corrected"]["top5"].get<double>() - share_up_to(expected, 5)), 1e-12);
}

TEST_F(HubnessProgram, EveryCommandThatTrainsKeepsABank) {
  const auto rows = [](const std::string& model, const std::string& name) -> int64_t {
    const SafetensorsFile file = SafetensorsFile::open(model);
    return file.contains(name) ? file.shape(name)[0] : 0;
  };
  EXPECT_EQ(rows(trained("seven", {"--hubness-bank", "7"}), "hubness.images"), 7);
  EXPECT_EQ(rows(trained("none", {"--hubness-bank", "0"}), "hubness.images"), 0);
  EXPECT_EQ(rows(teacher("teacher"), "hubness.texts"), TrainingFiles::kTexts);
  EXPECT_EQ(rows(teacher("no_bank", {"--hubness-bank", "0"}), "hubness.texts"), 0);
  EXPECT_EQ(rows(teacher("no_images", {"--images", ""}), "hubness.texts"), 0);
  ASSERT_EQ(files
                .command("sweep", "sweep",
                         {"--steps", "2", "--vary", "learning_rate=1e-4,1e-3", "--hubness-bank", "6"})
                .exit_code,
            0);
  EXPECT_EQ(rows(path("sweep/model.safetensors"), "hubness.texts"), 6);

  // The bank of a teacher alone is in the teacher's space.
  const std::string alone = path("teacher");
  const Json result = json(eval(alone, {"--projection", "teacher", "--hubness", "dbs"}));
  EXPECT_EQ(result["hubness"]["bank_images"], TrainingFiles::kImages);
  EXPECT_CONTAINS(run(eval(alone, {"--projection", "teacher", "--hubness", "csls"})).out,
                  "\n  teacher, csls ");
  // The seed draws the rows.
  const auto bank = [&](const std::string& model) {
    return SafetensorsFile::open(model).read_float("hubness.images");
  };
  const std::vector<float> first = bank(teacher("a", {"--hubness-bank", "9"}));
  EXPECT_EQ(bank(teacher("b", {"--hubness-bank", "9"})), first);
  EXPECT_NE(bank(teacher("c", {"--hubness-bank", "9", "--seed", "1"})), first);
}

/// The figures of compare are those of train or teacher, followed by eval, on the same split.
TEST_F(HubnessProgram, CompareCorrectsEachMethodWithTheUnpairedRowsOfItsSplit) {
  constexpr int64_t kAll = 40, kPairs = 15, kTest = 10;
  const auto shuffled = [](std::vector<int64_t> rows, const char* stream) {
    const RandomStream random(1, stream_id(stream));
    std::sort(rows.begin(), rows.end(), [&](int64_t i, int64_t j) {
      return random.bits64(static_cast<uint64_t>(i)) < random.bits64(static_cast<uint64_t>(j));
    });
    return rows;
  };
  std::vector<int64_t> all(kAll);
  std::iota(all.begin(), all.end(), 0);
  all = shuffled(all, "demo.split");
  const auto part = [&](int64_t from, int64_t to) {
    return std::vector<int64_t>(all.begin() + from, all.begin() + to);
  };
  const std::vector<int64_t> pairs = part(0, kPairs), test = part(kPairs, kPairs + kTest),
                             unpaired = part(kPairs + kTest, kAll);
  for (const std::string side : {"images", "texts"}) {
    const GoldenArray from = read_golden(path("pairs_" + side + ".npy"));
    const int64_t cols = from.shape[1];
    const auto write = [&](const std::string& name, const std::vector<int64_t>& rows) {
      std::vector<float> values;
      for (const int64_t row : rows)
        for (int64_t j = 0; j < cols; ++j)
          values.push_back(static_cast<float>(from.values[static_cast<size_t>(row * cols + j)]));
      write_npy(path(name + side + ".npy"),
                ConstMatrixF(values.data(), static_cast<int64_t>(rows.size()), cols));
    };
    std::vector<int64_t> whole(kAll);
    std::iota(whole.begin(), whole.end(), 0);
    write("all_", whole);
    write("split_pairs_", pairs);
    write("val_", test);
    write("split_", shuffled(unpaired, side == "images" ? "demo.images" : "demo.texts"));
  }
  const std::vector<std::string> split = {"--pairs-images", path("split_pairs_images.npy"),
                                          "--pairs-texts",  path("split_pairs_texts.npy"),
                                          "--images",       path("split_images.npy"),
                                          "--texts",        path("split_texts.npy"),
                                          "--val-images",   "",
                                          "--val-texts",    "",
                                          "--seed",         "1"};
  const auto with = [](std::vector<std::string> arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::vector<std::string> csls = {"--hubness", "csls", "--hubness-neighbours", "3"};
  const auto compare = [&](const std::vector<std::string>& more) {
    return run(with({"compare", "--images", path("all_images.npy"), "--texts", path("all_texts.npy"),
                     "--pairs", "15", "--test", "10", "--seeds", "1,0", "--steps", "3", "--json",
                     path("compare.json")},
                    more))
        .out;
  };
  const std::string plain = compare({});
  EXPECT_EQ(plain.find("csls"), std::string::npos);
  const Json without = Json::parse(read_file(path("compare.json")));
  EXPECT_FALSE(without.contains("hubness"));
  const std::string table = compare(csls);
  const Json both = Json::parse(read_file(path("compare.json")));
  for (const char* row : {"\n  teacher, csls ", "\n  SAIL, csls ", "\n  SOTAlign, csls ", " (csls "})
    EXPECT_CONTAINS(table, row);
  EXPECT_EQ(both["hubness"]["kind"], "csls");
  EXPECT_EQ(both["hubness"]["neighbours"], 3);

  const auto figures = [](const Json& json, const std::string& method, size_t seed) {
    Json result = json["methods"][method]["seeds"][seed];
    result.erase("seed"), result.erase("seconds");
    return result;
  };
  ASSERT_EQ(files.train("heads", with(split, {"--steps", "3"})).exit_code, 0);
  ASSERT_EQ(files.train("sail", with(split, {"--steps", "3", "--method", "sail"})).exit_code, 0);
  ASSERT_EQ(files.command("teacher", "t.safetensors", split).exit_code, 0);
  for (const auto& [method, model, projection] : {std::tuple("SOTAlign", "heads/model.safetensors", "heads"),
                                                  std::tuple("SAIL", "sail/model.safetensors", "heads"),
                                                  std::tuple("teacher", "t.safetensors", "teacher")}) {
    SCOPED_TRACE(method);
    Json expected = json(eval(path(model), with(csls, {"--projection", projection})));
    expected.erase("intervals");  // compare has none
    expected["hubness"]["corrected"].erase("intervals");
    EXPECT_EQ(figures(both["hubness"], method, 0), expected["hubness"]["corrected"]);
    expected.erase("hubness");
    for (const Json& json : {both, without}) EXPECT_EQ(figures(json, method, 0), expected);
    double mean = 0;
    for (size_t seed = 0; seed < 2; ++seed)
      mean += figures(both["hubness"], method, seed)["mean_r1"].get<double>() / 2;
    EXPECT_WITHIN(std::abs(both["hubness"]["methods"][method]["mean_r1"].get<double>() - mean), 1e-12);
  }
  expect_refused({"compare", "--images", path("all_images.npy"), "--texts", path("all_texts.npy"), "--pairs",
                  "15", "--test", "10", "--hubness", "dbs", "--hubness-temperature", "0"},
                 "hubness: temperature, expected a number from");
}

TEST_F(HubnessProgram, WhatCannotBeCorrectedIsRefused) {
  const std::string model = trained("run"), none = trained("none", {"--hubness-bank", "0"}),
                    images = path("val_images.npy"), texts = path("val_texts.npy");
  expect_refused({"eval", "--images", images, "--texts", texts, "--hubness", "dbs"},
                 "--hubness: expected --model with a bank for dbs, found none");
  expect_refused(
      eval(none, {"--hubness", "csls"}),
      "--hubness: expected a model with a bank, as train makes from unpaired rows, found none in " + none);
  expect_refused(
      eval(model, {"--hubness", "dbs", "--projection", "teacher"}),
      "--hubness: expected --projection heads, whose space the bank of " + model + " is in, found teacher");
  expect_refused(eval(teacher("teacher"), {"--hubness", "dbs"}), "--projection: the model has no heads");
  for (const std::string temperature : {"0", "-1", "11"})
    expect_refused(eval(model, {"--hubness", "dbs", "--hubness-temperature", temperature}),
                   "hubness: temperature, expected a number from 0.0001 to 10, found " + temperature);
  expect_refused(eval(model, {"--hubness", "csls", "--hubness-neighbours", "0"}),
                 "hubness: neighbours, expected at least 1, found 0");
  expect_refused(eval(model, {"--hubness", "hubs"}), "--hubness: expected");
  const auto embed = [&](const std::string& with, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"embed",   "--model", with,       "--side",     "text",
                                          "--input", texts,     "--output", path("e.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expect_refused(embed(model, {"--hubness", "dbs"}),
                 "--hubness: expected --corrections, the file to write, found none");
  expect_refused(embed(none, {"--corrections", path("c.npy")}), "--hubness: expected a model with a bank");
  expect_refused(embed(model, {"--corrections", path("e.npy")}), "expected a file other than that of --");
  expect_refused(embed(model, {"--corrections", texts}),
                 "--corrections: expected a file other than that of --input");
  // Numbers that would have no effect.
  const std::vector<std::string> zeroshot = {
      "zeroshot",       "--model",   model, "--images",         images,          "--labels",
      path("none.npy"), "--prompts", texts, "--prompt-classes", path("none.npy")};
  const std::vector<std::string> compare = {
      "compare", "--images", path("pairs_images.npy"), "--texts", path("pairs_texts.npy"), "--pairs", "15",
      "--test",  "10"};
  for (const std::vector<std::string>& command : {eval(model), zeroshot, compare, embed(model, {})}) {
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), command.begin(), command.end());
      return more;
    };
    expect_refused(
        with({"--hubness-temperature", "0.2"}),
        "--hubness-temperature: expected a correction with --hubness dbs or inverted_softmax, found none");
    expect_refused(with({"--hubness-neighbours", "10"}),
                   "--hubness-neighbours: expected a correction with --hubness csls, found none");
    if (command.front() == "embed") continue;
    expect_refused(with({"--hubness", "csls", "--hubness-temperature", "0.2"}),
                   "inverted_softmax, found csls");
    expect_refused(with({"--hubness", "dbs", "--hubness-neighbours", "10"}), "--hubness csls, found dbs");
  }
  expect_refused(embed(model, {"--corrections", path("c.npy"), "--hubness-neighbours", "10"}),
                 "--hubness csls, found dbs");
  const auto refused = [&](const std::string& command, const std::string& value, const std::string& part) {
    const ProgramResult result = files.command(command, "refused", {"--hubness-bank", value});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_CONTAINS(result.err, part);
    EXPECT_FALSE(std::filesystem::exists(path("refused")));
  };
  for (const char* command : {"train", "teacher"}) {
    refused(command, "-1", "hubness_bank: expected at least 0, found -1");
    refused(command, "10001", "--hubness-bank: expected");
  }
}

}  // namespace program_hubness_test
}  // namespace sotalign::testing
