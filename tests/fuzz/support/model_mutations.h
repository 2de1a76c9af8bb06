// Mutations of model files that keep heads and tensors consistent: only such files get past the shape checks.
#pragma once

#include "support/tensor_file.h"

namespace sotalign::fuzz {

/// Changes the heads' description, or sizes that several tensors share, then makes the tensors fit.
void mutate_model(Dice& dice, TensorFile& file, size_t most);

}  // namespace sotalign::fuzz
