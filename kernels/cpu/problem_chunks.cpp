#include "kernels/problem_chunks.h"

#include "kernels/cpu/sinkhorn_common.h"
#include "kernels/density.h"

namespace sotalign::kernels::cpu {

// The same chunks as for a single problem, so batching does not change its result.
ProblemChunks problem_chunks(const Queue&, const ProblemSize& size) {
  const int64_t chunks = chunk_count({.rows = size.rows, .cols = size.cols});
  return {chunks, chunks * density_stride(size.cols, DensityType::kFloat)};
}

}  // namespace sotalign::kernels::cpu
