// Parses all JSON that the program reads.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// The value in `text`. Throws IoError, with `where` in front, for everything that check_json_text() rejects.
nlohmann::ordered_json parse_json(const std::string& text, const std::string& where);

/// The same for a file, read by read_text(). Messages name the file.
nlohmann::ordered_json read_json(const std::string& path);

}  // namespace sotalign::app
