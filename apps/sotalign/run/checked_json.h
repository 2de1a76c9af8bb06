// JSON that a command writes and reads back when it resumes. The rest of the work depends on these results,
// so a checksum guards them against damage.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// Writes the object with "checksum" as its last key: XXH3 of the compact text of all other keys. The
/// checksum ignores white space and every "seconds", so that interrupted work gets the same one as
/// uninterrupted work.
void write_checked_json(const std::string& path, nlohmann::ordered_json object);

/// Whether `object`, read from `path`, has a checksum; files of sotalign 0.1 have none. Throws IoError if the
/// checksum does not match.
bool verify_checked_json(const nlohmann::ordered_json& object, const std::string& path);

}  // namespace sotalign::app
