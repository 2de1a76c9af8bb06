// Mean and spread of a figure over seeds.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

struct Spread {
  double mean = 0;
  double deviation = 0;  ///< standard deviation over the seeds; 0 for one seed
  double error = 0;      ///< standard error of the mean; 0 for one seed
};
Spread spread(const std::vector<double>& values);

/// values[i] - less[i]: figures of the same seeds.
std::vector<double> differences(const std::vector<double>& values, const std::vector<double>& less);

}  // namespace sotalign::app
