// Sorting by CUB, NVIDIA's library of device-wide algorithms: its radix sort reads and writes the keys a few
// times, whatever their order. Compiled in a file of its own (radix_sort.cu), which takes the compiler longer
// than any kernel of ours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/queue.h"

namespace sotalign::kernels::cuda {

inline constexpr size_t kRadixSortAlignment = 64;  ///< of the scratch memory

/// Bytes of scratch memory for `count` keys, at least 1.
size_t radix_sort_scratch(const Queue& queue, int64_t count);

/// to [count] = the numbers of from [count] in ascending order; count < 2^31, no NaN. The arrays must not
/// overlap. The order of equal keys does not show, so the same input gives the same bits.
void radix_sort(const Queue& queue, const double* from, double* to, int64_t count, void* scratch);

}  // namespace sotalign::kernels::cuda
