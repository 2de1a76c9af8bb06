// Strict reading of JSON that users write: whatever is not understood is a mistake, and the message says
// where.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotalign::app {

/// The longest that a computation can have taken: three centuries.
constexpr double kMostSeconds = 1e10;

/// Throws InvalidArgument "WHERE: expected EXPECTED, found FOUND".
[[noreturn]] void expected_but_found(const std::string& where, const std::string& expected,
                                     const nlohmann::ordered_json& found);

/// A JSON object, read key by key; it outlives the reader. Every function throws InvalidArgument, whose
/// message begins with `where`, for what is not there or is of another type.
class JsonReader {
 public:
  using Json = nlohmann::ordered_json;

  JsonReader(const Json& json, std::string where);
  /// `keys` are those that the object may have.
  JsonReader(const Json& json, std::string where, const std::vector<std::string>& keys);

  const std::string& where() const { return where_; }
  std::string where(const std::string& key) const { return where_ + ": " + key; }

  bool has(const std::string& key) const { return json_.contains(key); }
  const Json& at(const std::string& key) const;
  /// Not empty, and without control characters.
  std::string text(const std::string& key) const;
  int64_t count(const std::string& key, int64_t least) const;
  double number(const std::string& key, double least, double most) const;
  /// Lists have 1 to 100 entries.
  const Json& list(const std::string& key) const;
  std::vector<int64_t> counts(const std::string& key, int64_t least) const;
  std::vector<std::string> texts(const std::string& key) const;
  /// These may be empty. Strings have no NUL, as the system's functions would take a path with one for a
  /// shorter one.
  std::string string(const std::string& key) const;
  std::vector<std::string> strings(const std::string& key) const;
  uint64_t seed(const std::string& key) const;
  /// An object; empty if there is no such key.
  Json object(const std::string& key) const;

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace sotalign::app
