#include "checked_json.h"

#include <fmt/format.h>

#include "files.h"
#include "inputs.h"
#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"

namespace sotalign::app {

using Json = nlohmann::ordered_json;

namespace {
constexpr const char* kKey = "checksum";
}

void write_checked_json(const std::string& path, Json object) {
  require_finite(object);  // first: null in the place of a number would get a checksum that fits
  object[kKey] = checksum(object.dump());
  write_json(path, object);
}

void check_json_checksum(const Json& object, const std::string& path) {
  if (!object.is_object() || !object.contains(kKey)) {
    note_missing_checksums(path);
    return;
  }
  Json rest = object;
  rest.erase(kKey);
  if (object[kKey] != checksum(rest.dump()))
    throw IoError(fmt::format("{}: damaged or edited, its checksum is not the one in the file", path));
}

}  // namespace sotalign::app
