// JSON from outside, for everything that the program reads.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// The value in `text`. Throws IoError whose message begins with `where` for everything that
/// check_json_text() refuses.
nlohmann::ordered_json parse_json(const std::string& text, const std::string& where);

/// The same of a file, as read_text() reads it. Messages name the file.
nlohmann::ordered_json read_json(const std::string& path);

}  // namespace sotalign::app
