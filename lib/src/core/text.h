// Text for error messages: always one line of bounded length, whatever its source contains.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sotalign::detail {

/// The first 60 characters of `text`, with '?' in place of everything but printable ASCII.
std::string printable(std::string_view text);

/// Formats as "[3, 4]"; sizes after the eighth become "...".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace sotalign::detail
