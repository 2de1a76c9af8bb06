// Mutations of model files that keep heads and tensors in step: code behind the checks of shapes is reached
// only by files in which both agree.
#pragma once

#include "support/tensor_file.h"

namespace sotalign::fuzz {

/// Changes the description of the heads, or the sizes that several tensors share, then makes the tensors fit.
void mutate_model(Dice& dice, TensorFile& file, size_t most);

}  // namespace sotalign::fuzz
