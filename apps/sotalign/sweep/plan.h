// The runs of a sweep: all combinations of the varied values, or random draws.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/options.h"

namespace sotalign::app {

/// As given on the command line; stored with the results.
struct SweepSpace {
  std::vector<std::string> vary;   ///< KEY=V1,V2,... JSON values or bare words
  std::vector<std::string> range;  ///< KEY=LOW..HIGH or KEY=LOW..HIGH:log, for random draws
  int64_t random = 0;              ///< draws; 0: all combinations
  uint64_t seed = 0;               ///< seed of the draws
};

struct SweepRun {
  nlohmann::ordered_json settings;  ///< the varied values, by key
  TrainConfig config;
};

/// The runs in training order; in a grid, the last key changes fastest. Draw i of a key depends only on the
/// seed, the key's first name and i; real numbers are rounded to four digits. Repeated draws are left out.
///
/// `table` sets the values in `config`, which is restored afterwards. Throws InvalidArgument for keys and
/// values that the table rejects, repeated keys, and malformed ranges.
std::vector<SweepRun> plan_runs(const SweepSpace& space, OptionTable& table, TrainConfig& config);

/// The KEY=VALUES with the key's present name.
std::string with_present_key(const std::string& assignment, const OptionTable& table);

/// A value as the user types it: 0.0003, cka, [512, 512].
std::string value_text(const nlohmann::ordered_json& value);
/// "divergence_weight 30, divergence cka"
std::string settings_text(const nlohmann::ordered_json& settings);

}  // namespace sotalign::app
