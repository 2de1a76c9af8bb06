#pragma once

#include "sotalign/teacher/self_training.h"

namespace sotalign::detail {

/// Throws InvalidArgument, starting with the option's name, for a value out of range. How the plan is solved
/// is checked where its solver is made.
void check_self_training(const SelfTrainingOptions& options);

}  // namespace sotalign::detail
