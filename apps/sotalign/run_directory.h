// The directory of a training run: config.json, metrics.jsonl, checkpoint.safetensors, model.safetensors and
// summary.json; and teacher.json where the teacher's numbers were chosen by cross-validation: what "auto"
// stood for. config.json has the numbers themselves, so that the run is continued with them.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// With its parents. Throws IoError.
void make_directory(const std::string& path);

class RunDirectory {
 public:
  /// Throws InvalidArgument if `path` exists, and IoError if it could not be made. Makes nothing: what can
  /// fail before the training starts shall leave nothing behind.
  static void require_creatable(const std::string& path);
  /// Throws IoError unless there is a checkpoint to continue from.
  static void require_resumable(const std::string& path);

  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  /// Makes the directory and writes config.json.
  void create(const nlohmann::ordered_json& config);

  std::string config() const { return path_ + "/config.json"; }
  std::string teacher() const { return path_ + "/teacher.json"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string checkpoint() const { return path_ + "/checkpoint.safetensors"; }
  std::string model() const { return path_ + "/model.safetensors"; }
  std::string summary() const { return path_ + "/summary.json"; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Lines of JSON that are on disk as soon as they are added.
class MetricsFile {
 public:
  /// Continues a file: lines behind step `last_step` are dropped.
  MetricsFile(const std::string& path, int64_t last_step);

  /// Throws NumericalError for a number that JSON cannot hold.
  void add(const nlohmann::ordered_json& line);
  /// The last line of a step, kept or added.
  const nlohmann::ordered_json& last_step() const { return last_step_; }
  /// "seconds" of the last line that was kept; 0 without one.
  double seconds_before() const { return seconds_before_; }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  nlohmann::ordered_json last_step_;
  double seconds_before_ = 0;
};

}  // namespace sotalign::app
