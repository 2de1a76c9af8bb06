// Checks untrusted JSON before a parser builds anything from it.
#pragma once

#include <string>
#include <string_view>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// Throws IoError unless `text` is exactly one JSON value (RFC 8259) in valid UTF-8, no object repeats a key,
/// lists and objects are nested at most `deepest` levels, and every number is finite as a double. A byte
/// order mark at the start is allowed. Messages begin with `where` and are one line of bounded length; lines
/// count from 1, bytes from 0. Takes O(n log n) time for any text of n bytes; stack use does not grow with
/// the nesting.
void check_json_text(std::string_view text, const std::string& where, int deepest = 32);

}  // namespace sotalign
