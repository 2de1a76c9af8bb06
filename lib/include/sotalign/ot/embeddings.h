// An affinity that is never stored as a whole.
#pragma once

#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// K = x y', x [n, d] and y [m, d] in the memory of the context: cosines if their rows have unit length.
struct Embeddings {
  ConstMatrixF x, y;
};

}  // namespace sotalign
