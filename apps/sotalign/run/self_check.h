// Whether an installation computes what it should: a tiny solve and a few training steps, against stored
// numbers.
#pragma once

#include <string>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign::app {

struct SelfCheck {
  std::string name;
  double expected = 0, found = 0;
  double tolerance = 0;  ///< of the relative error

  bool passed() const;  ///< false for NaN
};

/// KLOT in both forms of the solver, an entry of its gradient, and the loss after a few training steps, in
/// float32. Throws what the library throws, for example if cuBLAS cannot be loaded.
std::vector<SelfCheck> self_check(Context& context);

}  // namespace sotalign::app
