// Text for error messages: always one line of bounded length, whatever a file contains.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sotalign::io {

/// `text` with everything but printable ASCII replaced by '?', cut after 60 characters.
std::string printable(std::string_view text);

/// "[3, 4]"; sizes after the eighth become "...".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace sotalign::io
