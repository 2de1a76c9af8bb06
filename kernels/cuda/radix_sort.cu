#include "kernels/cuda/radix_sort.h"

#include <algorithm>

#include "kernels/cuda/cub.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

// As CUB's functions do: without scratch memory, only sets `bytes` to what is needed.
void sort_keys(const Queue& queue, void* scratch, size_t& bytes, const double* from, double* to,
               int64_t count) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  check(cub::DeviceRadixSort::SortKeys(scratch, bytes, from, to, static_cast<int>(count), 0,
                                       static_cast<int>(8 * sizeof(double)), stream_of(queue)),
        "cub::DeviceRadixSort::SortKeys");
}

}  // namespace

size_t radix_sort_scratch(const Queue& queue, int64_t count) {
  size_t bytes = 0;
  sort_keys(queue, nullptr, bytes, nullptr, nullptr, count);
  return std::max<size_t>(bytes, 1);
}

void radix_sort(const Queue& queue, const double* from, double* to, int64_t count, void* scratch) {
  if (count == 0) return;
  size_t bytes = radix_sort_scratch(queue, count);
  sort_keys(queue, scratch, bytes, from, to, count);
  if (queue.synchronous) check(cudaStreamSynchronize(stream_of(queue)), "radix_sort");
}

}  // namespace sotalign::kernels::cuda
