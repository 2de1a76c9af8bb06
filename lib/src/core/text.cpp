#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace sotalign::detail {

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 60;
  std::string result(text.substr(0, kLongest));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kLongest ? result + "..." : result;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  constexpr size_t kMost = 8;
  const auto end = shape.begin() + static_cast<int64_t>(std::min(shape.size(), kMost));
  return fmt::format("[{}{}]", fmt::join(shape.begin(), end, ", "), shape.size() > kMost ? ", ..." : "");
}

}  // namespace sotalign::detail
