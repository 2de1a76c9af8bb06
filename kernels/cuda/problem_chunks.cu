#include "kernels/problem_chunks.h"

#include "kernels/cuda/entropic.h"
#include "kernels/density.h"

namespace sotalign::kernels::cuda {

// All operations use the same chunks. kMost is two blocks for each of 132 multiprocessors: enough if one
// problem is most of the batch, and a batch of many problems has many blocks anyway.
ProblemChunks problem_chunks(const Queue&, const ProblemSize& size) {
  constexpr int64_t kMost = 264;
  const int64_t chunks = chunk_count(size.rows, kMost);
  const int64_t columns = chunks * density_stride(size.cols, DensityType::kFloat),
                rows = (marginal_warps(size.cols) * size.rows + 15) / 16 * 16;
  return {chunks, columns > rows ? columns : rows};
}

}  // namespace sotalign::kernels::cuda
