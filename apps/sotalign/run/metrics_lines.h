// Reading metrics.jsonl of a run that is continued.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotalign::app {

/// What a run up to some step has said.
// NOLINTNEXTLINE(bugprone-exception-escape): the JSON value null, unlike others, is made without an exception
struct MetricsLines {
  std::string text;                           ///< the lines as they are in the file
  std::vector<nlohmann::ordered_json> lines;  ///< the same, read
  nlohmann::ordered_json last_step;           ///< the last one with a loss; null without one
  double seconds = 0;                         ///< "seconds" of the last one; 0 without one
};

/// Lines behind `last_step` are left out, and so is a last line that is cut off: a process that is killed may
/// leave one. Throws IoError or InvalidArgument that names file and line for any other line that training
/// does not write.
MetricsLines read_metrics(const std::string& path, int64_t last_step);

}  // namespace sotalign::app
