// Threads share the planes.
#include "kernels/sort_angles.h"

#include <algorithm>
#include <cmath>

namespace sotalign::kernels::cpu {

size_t sort_angles_scratch(const Queue&, const SortAngles&) { return 0; }

void sort_angles(const Queue& queue, const SortAngles& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(dynamic, 1)
  for (int64_t plane = 0; plane < args.planes; ++plane) {
    const float *first = args.points + 2 * plane * args.points_stride, *second = first + args.points_stride;
    double* turns = args.turns + plane * args.count;
    for (int64_t i = 0; i < args.count; ++i)
      turns[i] = turn_of(std::atan2(static_cast<double>(second[i]), static_cast<double>(first[i])));
    std::sort(turns, turns + args.count);
  }
}

}  // namespace sotalign::kernels::cpu
