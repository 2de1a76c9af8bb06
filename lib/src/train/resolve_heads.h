// Options of the heads that follow from the teacher.
#pragma once

#include "sotalign/train/trainer.h"

namespace sotalign::detail {

/// Resolves Initialization::kAuto and a dimension of 0. Throws InvalidArgument for a dimension that heads
/// from the teacher cannot have.
void resolve_heads(TrainOptions& options, int64_t teacher_dim);

}  // namespace sotalign::detail
