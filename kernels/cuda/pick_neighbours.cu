// One thread per query. Integer arithmetic only: the same neighbours as on the CPU.
#include "kernels/pick_neighbours.h"

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) pick_neighbours_kernel(PickNeighbours args) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.count) return;
  const int64_t query = args.queries[i];
  args.picked[i] = args.neighbours[query * args.k + neighbour_rank(args, query)];
}

}  // namespace

void pick_neighbours(const Queue& queue, const PickNeighbours& args) {
  launch(queue, "pick_neighbours", pick_neighbours_kernel, blocks_for(args.count, kThreads), kThreads, 0,
         args);
}

}  // namespace sotalign::kernels::cuda
