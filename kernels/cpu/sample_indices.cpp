// Threads share the indices evenly.
#include "kernels/sample_indices.h"

namespace sotalign::kernels::cpu {

void sample_indices(const Queue& queue, const SampleIndices& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.count; ++i) args.indices[i] = sample_index(args, i);
}

}  // namespace sotalign::kernels::cpu
