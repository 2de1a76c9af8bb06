// Mean and spread of a figure over seeds.
#pragma once

#include <cstddef>
#include <vector>

namespace sotalign::app {

struct Spread {
  double mean = 0;
  double deviation = 0;  ///< standard deviation over the seeds; 0 for one seed
  double error = 0;      ///< standard error of the mean; 0 for one seed
  size_t seeds = 0;
};
Spread spread(const std::vector<double>& values);

/// values[i] - less[i]: figures of the same seeds.
std::vector<double> differences(const std::vector<double>& values, const std::vector<double>& less);

/// Whether a mean difference is more than noise: two of its standard errors.
enum class Decided {
  kAbove,      ///< above zero
  kUndecided,  ///< within noise, or the difference of a single seed
  kBelow,      ///< below zero
};
Decided decide(const Spread& difference);

}  // namespace sotalign::app
