// The smallest training that has everything a checkpoint holds. Seeds and fuzz target must use the same one:
// otherwise every checkpoint would be rejected because of its fingerprint.
#pragma once

#include "sotalign/train/trainer.h"

namespace sotalign::fuzz {

inline constexpr int64_t kTinySteps = 4;

Trainer tiny_trainer(Context& context, OptimizerKind optimizer);

}  // namespace sotalign::fuzz
