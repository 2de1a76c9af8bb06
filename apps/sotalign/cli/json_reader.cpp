#include "cli/json_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/json.h"
#include "cli/nearest.h"
#include "cli/shown_text.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

void expected_but_found(const std::string& where, const std::string& expected, const Json& found) {
  throw InvalidArgument(fmt::format("{}: expected {}, found {}", where, expected, shown(found)));
}

JsonReader::JsonReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
  if (!json.is_object()) expected_but_found(where_, "a JSON object", json);
}

JsonReader::JsonReader(const Json& json, std::string where, const std::vector<std::string>& keys)
    : JsonReader(json, std::move(where)) {
  for (const auto& [key, value] : json.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      const std::optional<std::string> known = near(key, keys);
      throw InvalidArgument(fmt::format("{}: unknown key {}; {}", where_, shown(Json(key)),
                                        known ? fmt::format("the nearest known key is '{}'", *known)
                                              : fmt::format("known keys are {}", fmt::join(keys, ", "))));
    }
}

const Json& JsonReader::at(const std::string& key) const {
  if (!has(key)) throw InvalidArgument(fmt::format("{}: expected the key '{}', found none", where_, key));
  return json_[key];
}

namespace {

std::string as_text(const Json& value, const std::string& where) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    expected_but_found(where, "a name", value);
  std::string text = value.get<std::string>();
  if (std::any_of(text.begin(), text.end(), is_control))
    expected_but_found(where, "a name without control characters", value);
  return text;
}

std::string as_string(const Json& value, const std::string& where) {
  if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos)
    expected_but_found(where, "a string without NUL", value);
  return value.get<std::string>();
}

int64_t as_count(const Json& value, const std::string& where, int64_t least) {
  constexpr int64_t kMost = int64_t{1} << 40;  // sums of a few cannot overflow
  if (!value.is_number_integer() || value < least)
    expected_but_found(where, fmt::format("an integer >= {}", least), value);
  if (value > kMost) expected_but_found(where, fmt::format("an integer of at most {}", kMost), value);
  return value.get<int64_t>();
}

}  // namespace

bool JsonReader::flag(const std::string& key) const {
  if (!has(key)) return false;
  if (!at(key).is_boolean()) expected_but_found(where(key), "true or false", at(key));
  return at(key).get<bool>();
}

std::string JsonReader::text(const std::string& key) const { return as_text(at(key), where(key)); }

int64_t JsonReader::count(const std::string& key, int64_t least) const {
  return as_count(at(key), where(key), least);
}

double JsonReader::number(const std::string& key, double least, double most) const {
  const Json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most))
    expected_but_found(where(key), fmt::format("a number from {} to {}", least, most), value);
  return value.get<double>();
}

const Json& JsonReader::list(const std::string& key) const {
  constexpr size_t kMost = 100;  // nobody needs more, and all combinations are computed
  const Json& value = at(key);
  if (!value.is_array() || value.empty()) expected_but_found(where(key), "a list that is not empty", value);
  if (value.size() > kMost)
    throw InvalidArgument(
        fmt::format("{}: expected a list of at most {} entries, found {}", where(key), kMost, value.size()));
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

std::string JsonReader::string(const std::string& key) const { return as_string(at(key), where(key)); }

std::vector<std::string> JsonReader::strings(const std::string& key) const {
  if (!at(key).is_array()) expected_but_found(where(key), "a list of strings", at(key));
  std::vector<std::string> result;
  for (const Json& value : at(key)) result.push_back(as_string(value, where(key)));
  return result;
}

uint64_t JsonReader::seed(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_number_unsigned()) expected_but_found(where(key), "an integer from 0 to 2^64 - 1", value);
  return value.get<uint64_t>();
}

Json JsonReader::object(const std::string& key) const {
  if (!has(key)) return Json::object();
  if (!at(key).is_object()) expected_but_found(where(key), "a JSON object", at(key));
  return at(key);
}

}  // namespace sotalign::app
