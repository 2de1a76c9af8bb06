// Into how many chunks the Sinkhorn operations split the rows of a problem in a batch whose problems have
// shapes of their own, and how much memory the chunks need for what they leave. Depends on backend and shape.
#pragma once

#include <cstdint>

#include "kernels/queue.h"

namespace sotalign::kernels {

struct ProblemSize {
  int64_t rows = 0, cols = 0;
};
struct ProblemChunks {
  int64_t chunks = 0;
  int64_t partials = 0;  ///< floats, a multiple of 16; the most that an operation takes
};
SOTALIGN_DECLARE_FUNCTION(ProblemChunks, problem_chunks, ProblemSize)

}  // namespace sotalign::kernels
