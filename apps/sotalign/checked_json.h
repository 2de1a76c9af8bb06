// JSON that a command writes and reads again when it is continued: results that decide what the rest of the
// work finds. A checksum keeps damage from becoming a result.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// write_json() of the object with "checksum" as its last key: XXH3 of the compact text of all the rest, so
/// that white space does not count.
void write_checked_json(const std::string& path, nlohmann::ordered_json object);

/// Throws IoError if `object`, read from `path`, has a checksum that does not fit it. One of sotalign 0.1 has
/// none; a note on standard error says so.
void check_json_checksum(const nlohmann::ordered_json& object, const std::string& path);

}  // namespace sotalign::app
