// Threads share the queries evenly.
#include "kernels/pick_neighbours.h"

namespace sotalign::kernels::cpu {

void pick_neighbours(const Queue& queue, const PickNeighbours& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.count; ++i) {
    const int64_t query = args.queries[i];
    args.picked[i] = args.neighbours[query * args.k + neighbour_rank(args, query)];
  }
}

}  // namespace sotalign::kernels::cpu
