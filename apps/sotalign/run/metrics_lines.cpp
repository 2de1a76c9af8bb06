#include "run/metrics_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/files.h"
#include "cli/json.h"
#include "cli/json_reader.h"
#include "cli/parse_json.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

MetricsLines read_metrics(const std::string& path, int64_t last_step) {
  const std::string text = read_text(path);
  MetricsLines kept;
  size_t number = 0;
  for (size_t first = 0; first < text.size();) {
    const size_t end = std::min(text.find('\n', first), text.size());
    const std::string where = fmt::format("{}: line {}", path, ++number),
                      line = text.substr(first, end - first);
    first = end + 1;
    Json json;
    try {
      json = parse_json(line, where);
    } catch (const IoError&) {
      if (end == text.size()) break;  // cut off by a kill
      throw IoError(fmt::format("{}: expected a line written by training, found other text", where));
    }
    const JsonReader reader(json, where);
    if (reader.has("type"))
      if (const std::string type = reader.text("type"); type != "step" && type != "validation")
        expected_but_found(reader.where("type"), "step or validation", json["type"]);
    if (reader.count("step", 1) > last_step) continue;
    kept.text += line + '\n';
    kept.seconds = reader.number("seconds", 0, kMostSeconds);
    if (reader.has("loss")) kept.last_step = json;
    kept.lines.push_back(json);
  }
  return kept;
}

}  // namespace sotalign::app
