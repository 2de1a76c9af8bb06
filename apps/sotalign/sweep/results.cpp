#include "sweep/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cli/csv.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/json_reader.h"
#include "sweep/plan.h"

namespace sotalign::app {

namespace {

std::string recall_cells(const RecallAtK& recall) {
  return fmt::format(",{},{},{},{}", recall.r1, recall.r5, recall.r10, recall.median_rank);
}

}  // namespace

SweepResults::SweepResults(std::vector<std::string> keys, const std::vector<Json>& planned)
    : keys_(std::move(keys)) {
  for (const std::string& key : keys_) {
    size_t width = key.size();
    for (const Json& settings : planned) width = std::max(width, value_text(settings.at(key)).size());
    widths_.push_back(width);
  }
  for (const Json& settings : planned) planned_.insert(settings.dump());
}

bool SweepResults::add(SweepResult result) {
  const bool better = result.failure.empty() && (!best_ || score(result) > score(results_[*best_]));
  if (better) best_ = results_.size();
  results_.push_back(std::move(result));
  return better;
}

double SweepResults::score(const SweepResult& result) const {
  return by_recall_ ? result.validation.mean_r1 : result.validation.mean_reciprocal_rank;
}

const SweepResult* SweepResults::find(const Json& settings) const {
  const auto found = std::find_if(results_.begin(), results_.end(),
                                  [&](const SweepResult& r) { return r.settings == settings; });
  return found == results_.end() ? nullptr : &*found;
}

const SweepResult* SweepResults::best() const { return best_ ? &results_[*best_] : nullptr; }

Json SweepResults::to_json() const {
  Json runs = Json::array();
  for (const SweepResult& result : results_) {
    Json run = {{"settings", result.settings}};
    if (result.failure.empty()) {
      run["step"] = result.step;
      run["validation"] = app::to_json(result.validation);
      run["validation_teacher"] = app::to_json(result.teacher);
    } else {
      run["failure"] = result.failure;
    }
    run["seconds"] = result.seconds;
    runs.push_back(run);
  }
  return runs;
}

void SweepResults::add_json(const Json& runs, const std::string& where) {
  if (!runs.is_array()) expected_but_found(where, "a list of runs", runs);
  for (const Json& run : runs) {
    const JsonReader reader(run, fmt::format("{}: entry {}", where, results_.size()),
                            {"settings", "step", "validation", "validation_teacher", "failure", "seconds"});
    SweepResult result{.settings = reader.at("settings"),
                       .validation = {},
                       .teacher = {},
                       .seconds = reader.number("seconds", 0, kMostSeconds)};
    // Erased so that each run is added only once.
    if (planned_.erase(result.settings.dump()) == 0)
      expected_but_found(reader.where("settings"), "the settings of a run of this sweep, each once",
                         result.settings);
    if (reader.has("failure")) {
      result.failure = reader.string("failure");
      if (result.failure.empty()) expected_but_found(reader.where("failure"), "a reason", run["failure"]);
    } else {
      result.step = reader.count("step", 0);
      result.validation = retrieval_of_json(reader.at("validation"), reader.where("validation"));
      result.teacher = retrieval_of_json(reader.at("validation_teacher"), reader.where("validation_teacher"));
      // No reciprocal rank is 0: it is missing.
      if (result.validation.mean_reciprocal_rank == 0) by_recall_ = true;
    }
    add(std::move(result));
  }
}

std::string SweepResults::to_csv() const {
  std::string text = "run";
  for (const std::string& key : keys_) text += ',' + key;
  for (const char* direction : {"image_to_text", "text_to_image"})
    for (const char* column : {"r1", "r5", "r10", "median_rank"})
      text += fmt::format(",{}_{}", direction, column);
  text += ",mean_r1,mean_reciprocal_rank,teacher_mean_r1,step,seconds,failure\n";
  for (size_t i = 0; i < results_.size(); ++i) {
    const SweepResult& result = results_[i];
    text += fmt::format("{}", i + 1);
    for (const std::string& key : keys_) text += ',' + csv_quoted(value_text(result.settings.at(key)));
    if (result.failure.empty()) {
      text += recall_cells(result.validation.image_to_text) + recall_cells(result.validation.text_to_image);
      text += fmt::format(",{},{},{},{}", result.validation.mean_r1, result.validation.mean_reciprocal_rank,
                          result.teacher.mean_r1, result.step);
    } else {
      text += std::string(12, ',');
    }
    text += fmt::format(",{:.3f},{}\n", result.seconds, csv_quoted(result.failure));
  }
  return text;
}

std::string SweepResults::table_head() const {
  std::string text = fmt::format("{:>5}", "run");
  for (size_t k = 0; k < keys_.size(); ++k) text += fmt::format("  {:>{}}", keys_[k], widths_[k]);
  return text + fmt::format("{:>13}{:>10}{:>9}{:>7}{:>9}{:>7}{:>9}", "R@1 to text", "to image", "MeanR@1",
                            "MRR", "teacher", "step", "time");
}

std::string SweepResults::table_row(size_t number, const SweepResult& result,
                                    const std::string& remark) const {
  std::string text = fmt::format("{:>5}", number);
  for (size_t k = 0; k < keys_.size(); ++k)
    text += fmt::format("  {:>{}}", value_text(result.settings.at(keys_[k])), widths_[k]);
  if (!result.failure.empty()) return text + "  failed: " + result.failure;
  text += fmt::format("{:>13.1f}{:>10.1f}{:>9.1f}{:>7.3f}{:>9.1f}{:>7}{:>9}",
                      100 * result.validation.image_to_text.r1, 100 * result.validation.text_to_image.r1,
                      100 * result.validation.mean_r1, result.validation.mean_reciprocal_rank,
                      100 * result.teacher.mean_r1, result.step, duration(result.seconds));
  return remark.empty() ? text : text + "  " + remark;
}

std::vector<size_t> SweepResults::sorted() const {
  std::vector<size_t> order(results_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto merit = [&](size_t i) { return results_[i].failure.empty() ? score(results_[i]) : -1.0; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return merit(a) > merit(b); });
  return order;
}

std::string SweepResults::sorted_table() const {
  std::string text = table_head();
  for (const size_t i : sorted()) text += '\n' + table_row(i + 1, results_[i], best_ == i ? "selected" : "");
  return text;
}

HtmlTable SweepResults::page_table() const {
  HtmlTable table{.head = {"run"}};
  table.head.insert(table.head.end(), keys_.begin(), keys_.end());
  for (const char* name : {"MeanR@1", "MRR", "R@1 to text", "to image", "teacher's MeanR@1", "step", "time"})
    table.head.emplace_back(name);
  for (const size_t i : sorted()) {
    const SweepResult& result = results_[i];
    if (best_ == i) table.emphasized = static_cast<int>(table.rows.size());
    std::vector<std::string> row = {fmt::format("{}", i + 1)};
    for (const std::string& key : keys_) row.push_back(value_text(result.settings.at(key)));
    if (result.failure.empty()) {
      for (const double figure :
           {result.validation.mean_r1, result.validation.mean_reciprocal_rank,
            result.validation.image_to_text.r1, result.validation.text_to_image.r1, result.teacher.mean_r1})
        row.push_back(fmt::format("{:.1f}", 100 * figure));
      row.push_back(fmt::format("{}", result.step));
      row.push_back(duration(result.seconds));
    } else {
      row.push_back("failed: " + result.failure);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace sotalign::app
