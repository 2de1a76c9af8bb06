// One launch for the angles of all planes; then CUB sorts one plane after the other (radix_sort.h).
#include "kernels/sort_angles.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/radix_sort.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) angles_kernel(SortAngles args, double* turns, unsigned across) {
  const int64_t plane = blockIdx.x / across;
  const int64_t i = int64_t{blockIdx.x % across} * kThreads + threadIdx.x;
  if (i >= args.count) return;
  const float* first = args.points + 2 * plane * args.points_stride;
  turns[plane * args.count + i] =
      turn_of(std::atan2(static_cast<double>(first[args.points_stride + i]), static_cast<double>(first[i])));
}

// Scratch: the unsorted angles, then CUB's.
size_t unsorted_bytes(const SortAngles& args) {
  const size_t bytes = static_cast<size_t>(args.planes * args.count) * sizeof(double);
  return (bytes + kRadixSortAlignment - 1) / kRadixSortAlignment * kRadixSortAlignment;
}

}  // namespace

size_t sort_angles_scratch(const Queue& queue, const SortAngles& args) {
  return unsorted_bytes(args) + radix_sort_scratch(queue, args.count);
}

void sort_angles(const Queue& queue, const SortAngles& args) {
  const unsigned across = blocks_for(args.count, kThreads);
  auto* unsorted = static_cast<double*>(args.scratch);
  void* scratch = static_cast<char*>(args.scratch) + unsorted_bytes(args);
  launch(queue, "sort_angles", angles_kernel, static_cast<unsigned>(args.planes) * across, kThreads, 0, args,
         unsorted, across);
  for (int64_t plane = 0; plane < args.planes; ++plane)
    radix_sort(queue, unsorted + plane * args.count, args.turns + plane * args.count, args.count, scratch);
}

}  // namespace sotalign::kernels::cuda
