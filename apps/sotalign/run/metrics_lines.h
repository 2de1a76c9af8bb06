// Reads the metrics.jsonl of a run that is resumed. Every line has a "type": "step" for the losses of a step,
// "validation" for the retrieval after one. Lines of sotalign 0.1 have none; a "loss" shows that they are
// steps.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotalign::app {

/// The metrics of a run up to some step.
// NOLINTNEXTLINE(bugprone-exception-escape): the JSON value null, unlike others, is made without an exception
struct MetricsLines {
  std::string text;                           ///< the lines as they are in the file
  std::vector<nlohmann::ordered_json> lines;  ///< the same lines, parsed
  nlohmann::ordered_json last_step;           ///< the last one with a loss; null without one
  double seconds = 0;                         ///< "seconds" of the last one; 0 without one
};

/// Skips lines after `last_step`, and a truncated last line, which a killed process may leave. Throws IoError
/// or InvalidArgument, naming file and line, for any other line that training does not write.
MetricsLines read_metrics(const std::string& path, int64_t last_step);

}  // namespace sotalign::app
