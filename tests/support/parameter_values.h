// The weights of a model, for comparisons to the bit.
#pragma once

#include <vector>

#include "sotalign/nn/parameters.h"

namespace sotalign::testing {

/// All values, one parameter after another.
inline std::vector<float> values_of(const ParameterSet& parameters) {
  std::vector<float> all;
  for (int i = 0; i < parameters.count(); ++i) {
    const std::vector<float> one = parameters.download(parameters[i].name);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace sotalign::testing
