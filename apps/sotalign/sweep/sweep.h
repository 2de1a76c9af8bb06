// The trainings of a sweep, one after the other, and the files that they leave behind: sweep.json, sweep.csv
// and sweep.svg after each, model.safetensors and config.json of the best so far, test figures at the end.
#pragma once

#include <string>
#include <vector>

#include "data/inputs.h"
#include "run/run_lock.h"
#include "sweep/plan.h"

namespace sotalign::app {

struct SweepArguments {
  explicit SweepArguments(CLI::App& app) : table(app) {}

  TrainConfig config;
  OptionTable table;
  SweepSpace space;
  std::string config_path, test_images, test_texts;
  bool resume = false;
  int64_t stop_after_runs = 0;  // 0: do not stop

  /// What decides the result, and where and how it was computed, as JSON.
  nlohmann::ordered_json options() const;
};

struct SweepData {
  Dataset training;
  HostMatrix test_images, test_texts;
};

/// Everything has been checked but the runs in `stored`, the sweep.json of a sweep to continue, or null, and
/// `lock` holds the directory. Throws InvalidArgument if the runs belong to another sweep. The exit code.
int run_sweep(SweepArguments& arguments, Context& context, const SweepData& data,
              const std::vector<SweepRun>& runs, const nlohmann::ordered_json& stored, RunLock& lock);

}  // namespace sotalign::app
