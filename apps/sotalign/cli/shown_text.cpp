#include "cli/shown_text.h"

#include <fmt/format.h>

#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string cut_text(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  constexpr size_t kMostContinuations = 3;  // per character; text that is not UTF-8 may have more
  size_t end = bytes;
  while (end > 0 && bytes - end < kMostContinuations && is_continuation(text[end])) --end;
  return std::string(text.substr(0, end));
}

std::string shown(const std::string& text) {
  constexpr size_t kMost = 60;
  return text.size() > kMost ? cut_text(text, kMost - 3) + "..." : text;
}

std::string shown(const nlohmann::ordered_json& value) {
  return shown(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
    if (length == 1) {
      ++at;
      continue;
    }
    // No character starts with a byte 80 to c1 or f5 to ff.
    if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() - at < length) return false;
    for (size_t i = 1; i < length; ++i)
      if (!is_continuation(text[at + i])) return false;
    // Overlong, a surrogate, or beyond U+10FFFF.
    if ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) > 0x9f) ||
        (byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) > 0x8f))
      return false;
    at += length;
  }
  return true;
}

void require_utf8(const std::string& flag, const std::string& text) {
  if (!is_utf8(text))
    throw InvalidArgument(fmt::format("{}: expected UTF-8, as a JSON file will store this, found {}", flag,
                                      shown(nlohmann::ordered_json(text))));
}

}  // namespace sotalign::app
