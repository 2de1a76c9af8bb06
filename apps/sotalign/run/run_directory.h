// The files in a run directory. Training writes config.json, metrics.jsonl, checkpoint.safetensors,
// model.safetensors and summary.json, and teacher.json if cross-validation chose the values of options set to
// "auto". config.json has the chosen values, so that the run resumes with them. report.html and metrics.csv,
// for people and other tools, are written when the run ends or is stopped; nothing reads them.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "sotalign/io/checksum.h"

namespace sotalign::app {

/// Returns `path`, which will be written. Throws IoError for a symbolic link: it may lead to a file outside
/// the run.
const std::string& not_a_link(const std::string& path);

/// Only file names: RunLock creates and holds the directory.
class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  /// Whether train, sweep or study writes a file of this name.
  static bool has_file(const std::string& name);

  /// Throws IoError unless the file `name` ("config.json") exists.
  void require(const std::string& name) const;
  /// Throws IoError if the run, which has no checkpoint, must have had one, judging by metrics.jsonl and
  /// model.safetensors. Precondition: config.json is valid and belongs to train.
  void require_no_checkpoint_lost() const;

  std::string config() const { return path_ + "/config.json"; }
  std::string teacher() const { return path_ + "/teacher.json"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string checkpoint() const { return path_ + "/checkpoint.safetensors"; }
  std::string model() const { return path_ + "/model.safetensors"; }
  std::string summary() const { return path_ + "/summary.json"; }
  std::string metrics_csv() const { return path_ + "/metrics.csv"; }
  std::string report() const { return path_ + "/report.html"; }
  std::string sweep() const { return path_ + "/sweep.json"; }
  std::string study() const { return path_ + "/study.json"; }
  std::string plan() const { return path_ + "/plan.json"; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// metrics.jsonl: readers see each line as soon as it is added.
class MetricsFile {
 public:
  /// Continues a file, dropping lines after step `last_step`. `state` is the state() stored in the checkpoint
  /// of that step; empty if it stores none. Throws IoError if the lines kept do not match it.
  MetricsFile(const std::string& path, int64_t last_step, const std::string& state);

  /// Throws NumericalError for a number that JSON cannot hold.
  void add(const nlohmann::ordered_json& line);
  /// Flushes the lines to disk, before a checkpoint that relies on them. Throws IoError.
  void sync();
  /// Number and checksum of all lines, for a checkpoint. Ignores "seconds", so that an interrupted run has
  /// the same checkpoints as an uninterrupted one.
  std::string state() const;
  /// The last line with a loss, kept or added.
  const nlohmann::ordered_json& last_step() const { return last_step_; }
  /// "seconds" of the last line kept; 0 without one.
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
