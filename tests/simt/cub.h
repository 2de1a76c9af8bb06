// A twin of the CUB functions that kernels/cuda calls. CUB is a library of templates for nvcc; this is what
// the host compiler sees in its place.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace cub {

struct DeviceRadixSort {
  /// Without scratch memory, only sets `bytes`. The arrays must not overlap.
  static cudaError_t SortKeys(void* scratch, size_t& bytes, const double* from, double* to, int count,
                              int begin_bit, int end_bit, cudaStream_t stream);
};

}  // namespace cub
