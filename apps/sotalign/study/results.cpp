#include "study/results.h"

#include <fmt/format.h>

#include "cli/json.h"
#include "cli/json_reader.h"
#include "cli/parse_json.h"
#include "cli/report.h"
#include "cli/shown_text.h"
#include "data/inputs.h"
#include "run/checked_json.h"
#include "run/run_directory.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

/// Throws InvalidArgument unless every part of `record` that is read later has the form that add() writes.
void check_record(const Json& record, const std::string& where) {
  const JsonReader reader(
      record, where, {"section", "method", "point", "key", "figures", "dbs", "error", "shift", "seconds"});
  for (const char* key : {"section", "method"}) reader.text(key);
  for (const char* key : {"point", "key"})
    if (!reader.at(key).is_object()) expected_but_found(reader.where(key), "a JSON object", record[key]);
  const JsonReader key(reader.at("key"), reader.where("key"),
                       {"setting", "measured", "pairs", "unpaired", "seed", "role", "validates"});
  for (const char* part : {"setting", "measured", "unpaired", "seed", "role"}) key.at(part);
  key.count("pairs", 0);
  retrieval_of_json(reader.at("figures"), reader.where("figures"));
  if (reader.has("dbs")) retrieval_of_json(reader.at("dbs"), reader.where("dbs"));
  if (reader.has("error")) reader.string("error");
  if (reader.has("shift")) {
    const JsonReader shift(reader.at("shift"), reader.where("shift"), {"images", "texts", "sum"});
    constexpr double kFarthest = 1e3;  // distances on a circle are below 1
    for (const char* part : {"images", "texts", "sum"}) shift.number(part, 0, kFarthest);
  }
  reader.number("seconds", 0, kMostSeconds);
}

constexpr const char *kSelectedBy = "selected_by", *kRank = "mean_reciprocal_rank", *kRecall = "mean_r1";

const char* key_of(Selection selection) { return selection == Selection::kRecall ? kRecall : kRank; }

/// Files of earlier versions do not say it.
Selection read_selection(const JsonReader& reader) {
  if (!reader.has(kSelectedBy) || reader.at(kSelectedBy) == kRecall) return Selection::kRecall;
  if (reader.at(kSelectedBy) != kRank)
    expected_but_found(reader.where(kSelectedBy), fmt::format("{} or {}", kRank, kRecall),
                       reader.at(kSelectedBy));
  return Selection::kReciprocalRank;
}

}  // namespace

Json hubness_json(const HubnessOptions& options) {
  return {{"kind", to_string(options.kind)},
          {"bank", options.bank},
          {"temperature", options.temperature},
          {"iterations", options.iterations}};
}

std::string title(Selection selection) { return selection == Selection::kRecall ? "MeanR@1" : "MRR"; }

double StudyResults::score(const RetrievalResult& result) const {
  return selection_ == Selection::kRecall ? result.mean_r1 : result.mean_reciprocal_rank;
}

double StudyResults::score(const Json& record) const {
  return record["figures"].value(key_of(selection_), 0.0);
}

void StudyResults::resume() {
  const Json file = read_json(path_);
  const bool verified = verify_checked_json(file, path_);
  if (!file.is_object() || !file.contains("runs") || !file["runs"].is_array())
    throw IoError(fmt::format("{}: expected the runs of a study, found another file", path_));
  const JsonReader reader(file, path_);
  const auto stored = [&](const std::string& key) {
    if (key == kHubnessKey && !reader.has(kHubnessKey))
      return hubness_json({.kind = Hubness::kDbs, .bank = 1500, .temperature = 0.1, .iterations = 20});
    return present_names(reader.at(key), reader.where(key));
  };
  for (const auto& [key, value] : header_.items())
    if (const Json found = stored(key); found != value)
      throw InvalidArgument(fmt::format("{}: {}: the runs belong to another study: expected {}, found {}",
                                        path_, key, shown(value), shown(found)));
  selection_ = read_selection(reader);
  for (Json record : reader.at("runs")) {
    const std::string where = fmt::format("{}: runs: entry {}", path_, records_.size());
    check_record(record, where);
    record["point"] = present_names(record["point"], where + ": point");
    record["key"]["setting"] = present_names(record["key"]["setting"], where + ": key: setting");
    if (!index_.emplace(record["key"].dump(), records_.size()).second)
      expected_but_found(where + ": key", "runs that differ", record["key"]);
    records_.push_back(record);
  }
  if (!verified) note_missing_checksums(path_);
}

const Json* StudyResults::find(const StudyRun& run) const {
  const auto found = index_.find(run.key().dump());
  return found == index_.end() ? nullptr : &records_[found->second];
}

void StudyResults::add(const std::string& section, const StudyRun& run, const StudyResult& result) {
  Json record = {{"section", section},
                 {"method", run.method->name},
                 {"point", run.setting->point},
                 {"key", run.key()},
                 {"figures", to_json(result.retrieval)}};
  if (result.dbs) record["dbs"] = to_json(*result.dbs);
  if (!result.error.empty()) record["error"] = result.error;
  if (result.shift)
    record["shift"] = {{"images", result.shift->images},
                       {"texts", result.shift->texts},
                       {"sum", result.shift->images + result.shift->texts}};
  record["seconds"] = result.seconds;
  index_.emplace(run.key().dump(), records_.size());
  records_.push_back(record);
  write(Json::array());
}

void StudyResults::write(const Json& cells) const {
  Json file = header_;
  file[kSelectedBy] = key_of(selection_);
  file["seconds"] = seconds();
  file["runs"] = records_;
  file["cells"] = cells;
  write_checked_json(not_a_link(path_), file);
}

double StudyResults::seconds() const {
  double sum = 0;
  for (const Json& record : records_) sum += record["seconds"].get<double>();
  return sum;
}

}  // namespace sotalign::app
