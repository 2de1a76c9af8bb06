#include "run/checked_json.h"

#include <fmt/format.h>

#include "cli/files.h"
#include "cli/json.h"
#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"

namespace sotalign::app {

namespace {

constexpr const char* kKey = "checksum";

/// The recursion is bounded: parse_json() limits the nesting of what is read.
void remove_seconds(Json& value) {
  if (value.is_object()) value.erase("seconds");
  if (value.is_structured())
    for (Json& part : value) remove_seconds(part);
}

std::string checksum_of(Json object) {
  object.erase(kKey);
  remove_seconds(object);
  return checksum(object.dump());
}

}  // namespace

void write_checked_json(const std::string& path, Json object) {
  require_finite(object);  // first: dump() would turn such numbers into null, with a matching checksum
  object[kKey] = checksum_of(object);
  write_json(path, object);
}

bool verify_checked_json(const Json& object, const std::string& path) {
  if (!object.is_object() || !object.contains(kKey)) return false;
  if (object[kKey] != checksum_of(object))
    throw IoError(
        fmt::format("{}: damaged or edited: its contents do not match the checksum in the file", path));
  return true;
}

}  // namespace sotalign::app
