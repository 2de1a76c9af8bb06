// One thread per index. Integer arithmetic only: the same indices as on the CPU.
//
// Not CUB: sorting random keys would permute all rows of an epoch, in memory, for a batch that needs some of
// them, and a resumed run would have to sort again.
#include "kernels/sample_indices.h"

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) sample_indices_kernel(SampleIndices args) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < args.count) args.indices[i] = sample_index(args, i);
}

}  // namespace

void sample_indices(const Queue& queue, const SampleIndices& args) {
  launch(queue, "sample_indices", sample_indices_kernel, blocks_for(args.count, kThreads), kThreads, 0, args);
}

}  // namespace sotalign::kernels::cuda
