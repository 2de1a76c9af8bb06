#pragma once

#include <string>

namespace sotalign::app {

/// A CSV field, quoted as RFC 4180 demands.
inline std::string csv_quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + '"';
}

}  // namespace sotalign::app
