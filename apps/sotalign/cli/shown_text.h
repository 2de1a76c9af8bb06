// Text from outside as messages, tables and bars show it: short, in whole characters, valid UTF-8 where it
// has to be.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sotalign::app {

/// The longest beginning of `text` with at most `bytes` bytes that does not end inside a UTF-8 character.
std::string cut_text(std::string_view text, size_t bytes);

/// `text`, or where it has more than 60 bytes its beginning and "...".
std::string shown(const std::string& text);

/// The same of a value as JSON; bytes that are not UTF-8 become U+FFFD.
std::string shown(const nlohmann::ordered_json& value);

bool is_utf8(std::string_view text);

/// Throws InvalidArgument that names the flag unless its `text` is UTF-8.
void require_utf8(const std::string& flag, const std::string& text);

}  // namespace sotalign::app
