// Trains the runs of a sweep one after the other. Each run updates sweep.json, sweep.csv, sweep.svg and
// report.html; the best so far is in model.safetensors and config.json; test figures are added at the end.
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

  /// Every option that decides the result, or where and how it is computed, as JSON.
  nlohmann::ordered_json options() const;
};

/// A sweep.json with all options under their present names. Leaves what is not of that form as it is.
nlohmann::ordered_json with_present_names(nlohmann::ordered_json stored, const OptionTable& table,
                                          const std::string& where);

struct SweepData {
  Dataset training;
  HostMatrix test_images, test_texts;
};

/// Runs the sweep and returns the exit code. The caller has checked everything except the runs in `stored`,
/// the verified sweep.json of a sweep to resume, or null. `lock` holds the directory. Throws InvalidArgument
/// if `stored` has runs of another sweep.
int run_sweep(SweepArguments& arguments, Context& context, const SweepData& data,
              const std::vector<SweepRun>& runs, const nlohmann::ordered_json& stored, RunLock& lock);

}  // namespace sotalign::app
