// Text from outside, prepared for messages, tables and progress bars: short, without broken characters, and
// valid UTF-8 where that is required.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sotalign::app {

/// The longest prefix of `text` with at most `bytes` bytes that does not split a UTF-8 character.
std::string cut_text(std::string_view text, size_t bytes);

/// `text`; if it has more than 60 bytes, its beginning and "...".
std::string shown(const std::string& text);

/// The same for a JSON value; bytes that are not UTF-8 become U+FFFD.
std::string shown(const nlohmann::ordered_json& value);

bool is_utf8(std::string_view text);

/// Throws InvalidArgument, naming the flag, unless its `text` is UTF-8.
void require_utf8(const std::string& flag, const std::string& text);

}  // namespace sotalign::app
