// How long the rest will take, judged by what has finished.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sotalign::app {

/// The seconds of a run's steps from `step` to `total`, at the mean speed of those from `first` on, which
/// took `elapsed` seconds, plus `after` seconds of other work. Unknown before a step has finished, and if
/// `after` is unknown.
std::optional<double> seconds_left(int64_t first, int64_t step, int64_t total, double elapsed,
                                   std::optional<double> after);

/// How long runs took, by kind. A run has several kinds, from the most to the least specific.
class RunTimes {
 public:
  using Kinds = std::vector<std::string>;

  void add(const Kinds& kinds, double seconds);
  /// The sum over the runs; each counts the mean time of its most specific kind that add() has seen. Unknown
  /// if add() has seen none of a run's kinds.
  std::optional<double> estimate(const std::vector<Kinds>& runs) const;

 private:
  struct Total {
    double seconds = 0, runs = 0;
  };
  std::map<std::string, Total> totals_;
};

}  // namespace sotalign::app
