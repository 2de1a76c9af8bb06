// A model in the memory of Python's context.
#pragma once

#include "context.h"
#include "sotalign/train/model.h"

namespace sotalign::python {

using OwnedModel = Owned<Model>;

}  // namespace sotalign::python
