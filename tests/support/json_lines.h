// Files with one JSON value a line, such as metrics.jsonl.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::testing {

/// An array of the values.
inline nlohmann::json lines_of(const std::string& path) {
  nlohmann::json lines = nlohmann::json::array();
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace sotalign::testing
