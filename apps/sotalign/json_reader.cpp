#include "json_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "option_table.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

using Json = nlohmann::ordered_json;

void expected_but_found(const std::string& where, const std::string& expected, const Json& found) {
  std::string text = found.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw InvalidArgument(fmt::format("{}: expected {}, found {}", where, expected, text));
}

JsonReader::JsonReader(const Json& json, std::string where, const std::vector<std::string>& keys)
    : json_(json), where_(std::move(where)) {
  if (!json.is_object()) expected_but_found(where_, "a JSON object", json);
  for (const auto& [key, value] : json.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      throw InvalidArgument(fmt::format("{}: unknown key {}; the nearest known key is '{}'", where_,
                                        Json(key).dump(), nearest(key, keys)));
}

const Json& JsonReader::at(const std::string& key) const {
  if (!has(key)) throw InvalidArgument(fmt::format("{}: expected the key '{}', found none", where_, key));
  return json_[key];
}

namespace {

std::string as_text(const Json& value, const std::string& where) {
  if (!value.is_string() || value.get<std::string>().empty()) expected_but_found(where, "a name", value);
  return value.get<std::string>();
}

int64_t as_count(const Json& value, const std::string& where, int64_t least) {
  constexpr int64_t kMost = int64_t{1} << 40;  // sums of a few of them are no concern
  if (!value.is_number_integer() || value < least || value > kMost)
    expected_but_found(where, fmt::format("an integer >= {}", least), value);
  return value.get<int64_t>();
}

}  // namespace

std::string JsonReader::text(const std::string& key) const { return as_text(at(key), where(key)); }

int64_t JsonReader::count(const std::string& key, int64_t least) const {
  return as_count(at(key), where(key), least);
}

const Json& JsonReader::list(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_array() || value.empty()) expected_but_found(where(key), "a list that is not empty", value);
  return value;
}

std::vector<int64_t> JsonReader::counts(const std::string& key, int64_t least) const {
  std::vector<int64_t> result;
  for (const Json& value : list(key)) result.push_back(as_count(value, where(key), least));
  return result;
}

std::vector<std::string> JsonReader::texts(const std::string& key) const {
  std::vector<std::string> result;
  for (const Json& value : list(key)) result.push_back(as_text(value, where(key)));
  return result;
}

Json JsonReader::object(const std::string& key) const {
  if (!has(key)) return Json::object();
  if (!at(key).is_object()) expected_but_found(where(key), "a JSON object", at(key));
  return at(key);
}

}  // namespace sotalign::app
