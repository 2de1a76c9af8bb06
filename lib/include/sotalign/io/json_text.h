// Checking JSON that comes from outside before any parser builds something from it.
#pragma once

#include <string>
#include <string_view>

namespace sotalign {

/// Throws IoError unless `text` is exactly one JSON value (RFC 8259) in valid UTF-8, in which no object has a
/// key twice, lists and objects are nested at most `deepest` levels, and every number is finite as a double.
/// A byte order mark in front is allowed. Messages begin with `where` and are one line of bounded length;
/// lines count from 1, bytes from 0. The time grows as n log n with the length of the text, whatever it
/// holds, and the stack does not grow with the nesting.
void check_json_text(std::string_view text, const std::string& where, int deepest = 32);

}  // namespace sotalign
