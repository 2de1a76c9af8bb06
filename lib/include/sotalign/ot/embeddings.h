// An affinity given by its embeddings, so that it need not be stored.
#pragma once

#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// K = x y', with x [n, d] and y [m, d] in the context's memory. Unit rows give cosines.
struct Embeddings {
  ConstMatrixF x, y;
};

}  // namespace sotalign
