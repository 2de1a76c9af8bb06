// The smallest training that has everything a checkpoint holds. Seeds and target must agree on it, or each
// checkpoint would be refused for its fingerprint alone.
#pragma once

#include "sotalign/train/trainer.h"

namespace sotalign::fuzz {

inline constexpr int64_t kTinySteps = 4;

Trainer tiny_trainer(Context& context, OptimizerKind optimizer);

}  // namespace sotalign::fuzz
