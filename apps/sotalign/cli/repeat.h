// Repeats a computation and times each repetition, for benchmarks. Unlike timing the whole process, this
// leaves out program start and file reading.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "cli/option_table.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

inline void add_repeat_option(OptionTable& table, int64_t& times) {
  constexpr int64_t kMost = 1'000'000;
  table.add("repeat", AtMost{&times, kMost}, "Repeat the computation for timing; \"seconds\" is the median",
            Role::kMachine);
}

inline void check_repeat(int64_t times) {
  if (times < 1) throw InvalidArgument(fmt::format("--repeat: expected an integer >= 1, found {}", times));
}

/// The seconds that each call takes. `run` must synchronize with the device.
template <class Run>
std::vector<double> time_repeats(int64_t times, Run&& run) {
  std::vector<double> seconds;
  for (int64_t i = 0; i < times; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return seconds;
}

/// Adds "seconds", the median, and for several repetitions "repeats", the seconds of each in order.
inline void add_seconds(nlohmann::ordered_json& json, std::vector<double> seconds) {
  const bool several = seconds.size() > 1;
  const nlohmann::ordered_json all = seconds;
  std::sort(seconds.begin(), seconds.end());
  json["seconds"] = (seconds[(seconds.size() - 1) / 2] + seconds[seconds.size() / 2]) / 2;
  if (several) json["repeats"] = all;
}

}  // namespace sotalign::app
