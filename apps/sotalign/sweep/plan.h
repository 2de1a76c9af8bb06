// Which runs a sweep has: all combinations of the values that vary, or random draws.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/options.h"

namespace sotalign::app {

/// As given on the command line, and kept with the results.
struct SweepSpace {
  std::vector<std::string> vary;   ///< KEY=V1,V2,... JSON values or bare words
  std::vector<std::string> range;  ///< KEY=LOW..HIGH or KEY=LOW..HIGH:log, for random draws
  int64_t random = 0;              ///< draws; 0: all combinations
  uint64_t seed = 0;               ///< of the draws
};

struct SweepRun {
  nlohmann::ordered_json settings;  ///< the values of what varies, by key
  TrainConfig config;
};

/// The runs in the order in which they are trained: of the grid, the last key's values change fastest. Draw i
/// of a key is a function of the seed, the key and i; real numbers have four digits. A draw that repeats an
/// earlier one is left out.
///
/// `table` sets the values in `config`, which is as before afterwards. Throws InvalidArgument for keys and
/// values that the table does not take, keys that are given twice, and ranges that are none.
std::vector<SweepRun> plan_runs(const SweepSpace& space, OptionTable& table, TrainConfig& config);

/// 0.0003, cka, [512, 512]: a value as it is typed.
std::string value_text(const nlohmann::ordered_json& value);
/// "klot_weight 30, divergence cka"
std::string settings_text(const nlohmann::ordered_json& settings);

}  // namespace sotalign::app
