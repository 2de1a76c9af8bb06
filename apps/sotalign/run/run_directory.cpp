#include "run/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>

#include "cli/files.h"
#include "cli/json.h"
#include "cli/parse_json.h"
#include "run/metrics_lines.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace fs = std::filesystem;

const std::string& not_a_link(const std::string& path) {
  std::error_code ignored;
  if (fs::is_symlink(fs::symlink_status(path, ignored)))
    throw IoError(fmt::format("{}: expected a file of this run, found a symbolic link", path));
  return path;
}

bool RunDirectory::has_file(const std::string& name) {
  constexpr const char* kFiles[] = {
      "config.json",       "teacher.json", "metrics.jsonl", "checkpoint.safetensors",
      "model.safetensors", "summary.json", "sweep.json",    "sweep.csv",
      "sweep.svg",         "study.json",   "plan.json",     "study.md",
      "pairs.svg",         "unpaired.svg", "shift.svg",     "metrics.csv",
      "report.html"};
  return std::find(std::begin(kFiles), std::end(kFiles), name) != std::end(kFiles);
}

void RunDirectory::require(const std::string& name) const {
  std::error_code error;
  if (!fs::is_regular_file(path_ + "/" + name, error))
    throw IoError(fmt::format("{}: expected a run to continue, found no {} in it", path_, name));
}

void RunDirectory::require_no_checkpoint_lost() const {
  const auto lost = [&](const std::string& sign) {
    throw IoError(
        fmt::format("{}: expected a checkpoint, as the run has {}, found none; restore it, or train again in "
                    "another directory",
                    checkpoint(), sign));
  };
  if (fs::exists(model())) lost("a model");
  // The configuration that the run started with, not the options of this process.
  const Json config = read_json(this->config());
  const int64_t checkpoint_every = config.value("checkpoint_every", int64_t{0});
  if (checkpoint_every == 0 || !fs::exists(metrics())) return;
  const Json last = read_metrics(metrics(), std::numeric_limits<int64_t>::max()).last_step;
  // In a step with a checkpoint, the metrics line is written first.
  if (const int64_t step = last.is_null() ? 0 : last["step"].get<int64_t>(); step > checkpoint_every)
    lost(fmt::format("metrics of step {} and saves a checkpoint every {} steps", step, checkpoint_every));
}

MetricsFile::MetricsFile(const std::string& path, int64_t last_step, const std::string& state)
    : path_(path), file_(nullptr, &std::fclose) {
  std::string kept;
  if (last_step > 0 && fs::exists(path)) {
    MetricsLines old = read_metrics(path, last_step);
    for (const Json& line : old.lines) count(line);
    if (!state.empty() && state != this->state())
      throw IoError(
          fmt::format("{}: expected the lines written before the checkpoint, found others; without this file "
                      "the run continues and loses its earlier lines",
                      path_));
    kept = std::move(old.text);
    seconds_before_ = old.seconds;
    last_step_ = std::move(old.last_step);
  }
  write_text(not_a_link(path), kept);
  const int descriptor = open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor >= 0) file_.reset(fdopen(descriptor, "ab"));
  if (!file_) throw IoError(fmt::format("{}: cannot write: {}", path, std::strerror(errno)));
}

void MetricsFile::count(Json line) {
  line.erase("seconds");
  sum_.add_text(line.dump());
  ++lines_;
}

std::string MetricsFile::state() const { return fmt::format("{} {}", lines_, sum_.hex()); }

void MetricsFile::add(const Json& line) {
  require_finite(line);
  if (line.contains("loss")) last_step_ = line;
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw IoError(fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
  count(line);
}

void MetricsFile::sync() {
  if (fdatasync(fileno(file_.get())) != 0)
    throw IoError(fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
}

}  // namespace sotalign::app
