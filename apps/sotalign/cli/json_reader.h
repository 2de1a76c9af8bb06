// Strict reading of JSON that users write: anything unknown is an error, and the message says where it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/json.h"

namespace sotalign::app {

/// No computation takes longer than three centuries.
constexpr double kMostSeconds = 1e10;

/// Throws InvalidArgument "WHERE: expected EXPECTED, found FOUND".
[[noreturn]] void expected_but_found(const std::string& where, const std::string& expected,
                                     const nlohmann::ordered_json& found);

/// Reads a JSON object, which must outlive the reader, key by key. Every function throws InvalidArgument,
/// with `where` in front, for a missing key or a value of another type.
class JsonReader {
 public:
  JsonReader(const Json& json, std::string where);
  /// `keys`: all keys that the object may have.
  JsonReader(const Json& json, std::string where, const std::vector<std::string>& keys);

  const std::string& where() const { return where_; }
  std::string where(const std::string& key) const { return where_ + ": " + key; }

  bool has(const std::string& key) const { return json_.contains(key); }
  const Json& at(const std::string& key) const;
  /// A string that is not empty and has no control characters.
  std::string text(const std::string& key) const;
  int64_t count(const std::string& key, int64_t least) const;
  double number(const std::string& key, double least, double most) const;
  /// False without that key.
  bool flag(const std::string& key) const;
  /// Lists have 1 to 100 entries.
  const Json& list(const std::string& key) const;
  std::vector<int64_t> counts(const std::string& key, int64_t least) const;
  std::vector<std::string> texts(const std::string& key) const;
  /// These may be empty. Strings with NUL are rejected, because system calls would cut a path there.
  std::string string(const std::string& key) const;
  std::vector<std::string> strings(const std::string& key) const;
  uint64_t seed(const std::string& key) const;
  /// The object at a key; empty without that key.
  Json object(const std::string& key) const;

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace sotalign::app
