// JSON that a command writes and reads again when it is continued: results that decide what the rest of the
// work finds. A checksum keeps damage from becoming a result.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// write_json() of the object with "checksum" as its last key: XXH3 of the compact text of all the rest.
/// White space does not count, nor does any "seconds": work that was interrupted gets the checksum of work
/// that was not.
void write_checked_json(const std::string& path, nlohmann::ordered_json object);

/// Whether `object`, read from `path`, has a checksum; those of sotalign 0.1 have none. Throws IoError if it
/// has one that does not fit.
bool verify_checked_json(const nlohmann::ordered_json& object, const std::string& path);

}  // namespace sotalign::app
