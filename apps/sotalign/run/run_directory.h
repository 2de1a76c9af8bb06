// The files of a run. Of a training: config.json, metrics.jsonl, checkpoint.safetensors, model.safetensors
// and summary.json; and teacher.json where the teacher's numbers were chosen by cross-validation: what "auto"
// stood for. config.json has the numbers themselves, so that the run is continued with them.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "sotalign/io/checksum.h"

namespace sotalign::app {

/// `path`, which is to be written. Throws IoError for a symbolic link: it could lead to a file that is not
/// the run's.
const std::string& not_a_link(const std::string& path);

/// Names only: RunLock makes and holds the directory.
class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  /// Whether train, sweep or study write a file of this name.
  static bool has_file(const std::string& name);

  /// Throws IoError unless there is such a file, "config.json".
  void require(const std::string& name) const;
  /// Throws IoError unless a run that has no checkpoint is one that had none: metrics.jsonl and
  /// model.safetensors tell. config.json has been read, and so is one of train.
  void require_no_checkpoint_lost() const;

  std::string config() const { return path_ + "/config.json"; }
  std::string teacher() const { return path_ + "/teacher.json"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string checkpoint() const { return path_ + "/checkpoint.safetensors"; }
  std::string model() const { return path_ + "/model.safetensors"; }
  std::string summary() const { return path_ + "/summary.json"; }
  std::string sweep() const { return path_ + "/sweep.json"; }
  std::string study() const { return path_ + "/study.json"; }
  std::string plan() const { return path_ + "/plan.json"; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Lines of JSON that every reader sees as soon as they are added.
class MetricsFile {
 public:
  /// Continues a file: lines behind step `last_step` are dropped. `state`: what state() was when the
  /// checkpoint of that step was saved, empty if it does not say. Throws IoError for a file that does not
  /// begin so.
  MetricsFile(const std::string& path, int64_t last_step, const std::string& state);

  /// Throws NumericalError for a number that JSON cannot hold.
  void add(const nlohmann::ordered_json& line);
  /// Makes the lines durable: before a checkpoint that counts on them. Throws IoError.
  void sync();
  /// Number and checksum of all lines, for a checkpoint. Their seconds do not count: a run that was
  /// interrupted has the same checkpoints as one that was not.
  std::string state() const;
  /// The last line of a step, kept or added.
  const nlohmann::ordered_json& last_step() const { return last_step_; }
  /// "seconds" of the last line that was kept; 0 without one.
  double seconds_before() const { return seconds_before_; }

 private:
  void count(nlohmann::ordered_json line);

  std::string path_;
  int64_t lines_ = 0;
  Checksum sum_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  nlohmann::ordered_json last_step_;
  double seconds_before_ = 0;
};

}  // namespace sotalign::app
