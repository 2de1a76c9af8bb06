// How many chunks the Sinkhorn operations split one problem of a ragged batch into, and the memory for the
// chunks' partial results. Depends only on backend and shape.
#pragma once

#include <cstdint>

#include "kernels/queue.h"

namespace sotalign::kernels {

struct ProblemSize {
  int64_t rows = 0, cols = 0;
};
struct ProblemChunks {
  int64_t chunks = 0;
  int64_t partials = 0;  ///< floats, a multiple of 16; the largest need of any operation
};
SOTALIGN_DECLARE_FUNCTION(ProblemChunks, problem_chunks, ProblemSize)

}  // namespace sotalign::kernels
