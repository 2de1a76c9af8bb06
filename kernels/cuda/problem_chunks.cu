#include "kernels/problem_chunks.h"

#include "kernels/cuda/entropic.h"
#include "kernels/density.h"

namespace sotalign::kernels::cuda {

// The same chunks for all operations. Two blocks a multiprocessor are enough where one problem is much of the
// batch; where problems are many, blocks are many anyway.
ProblemChunks problem_chunks(const Queue&, const ProblemSize& size) {
  constexpr int64_t kMost = 264;
  const int64_t chunks = chunk_count(size.rows, kMost);
  const int64_t columns = chunks * density_stride(size.cols, DensityType::kFloat),
                rows = (marginal_warps(size.cols) * size.rows + 15) / 16 * 16;
  return {chunks, columns > rows ? columns : rows};
}

}  // namespace sotalign::kernels::cuda
