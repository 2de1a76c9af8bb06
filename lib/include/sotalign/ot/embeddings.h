// An affinity given by the rows whose products it holds.
#pragma once

#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// K = x y' with x [n, d] and y [m, d] in the memory of the context. Unit rows give cosines.
struct Embeddings {
  ConstMatrixF x, y;
};

}  // namespace sotalign
