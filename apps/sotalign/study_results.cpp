#include "study_results.h"

#include <fmt/format.h>

#include "files.h"
#include "report.h"
#include "run_directory.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

using Json = nlohmann::ordered_json;

void StudyResults::resume() {
  const Json file = Json::parse(read_text(path_), nullptr, false);
  const auto require = [&](bool holds) {
    if (!holds) throw IoError(fmt::format("{}: expected the runs of a study, found another file", path_));
  };
  require(file.is_object() && file.contains("runs") && file["runs"].is_array());
  for (const auto& [key, value] : header_.items()) {
    const Json found = file.contains(key) ? file[key] : Json(nullptr);
    if (found != value)
      throw InvalidArgument(fmt::format("{}: {}: these runs are of another study: expected {}, found {}",
                                        path_, key, value.dump().substr(0, 60), found.dump().substr(0, 60)));
  }
  for (const Json& record : file["runs"]) {
    require(record.is_object() && record.contains("key") && record.contains("seconds") &&
            record["seconds"].is_number() && record.contains("figures") && record["figures"].is_object() &&
            record["figures"].contains("mean_r1") && record["figures"]["mean_r1"].is_number());
    index_.emplace(record["key"].dump(), records_.size());
    records_.push_back(record);
  }
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
  file["seconds"] = seconds();
  file["runs"] = records_;
  file["cells"] = cells;
  write_json(not_a_link(path_), file);
}

double StudyResults::seconds() const {
  double sum = 0;
  for (const Json& record : records_) sum += record["seconds"].get<double>();
  return sum;
}

}  // namespace sotalign::app
