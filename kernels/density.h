// How the density of the scaling form (sinkhorn_scaling.h) is stored.
#pragma once

#include <cstdint>

namespace sotalign::kernels {

enum class DensityType { kFloat, kBfloat16 };

constexpr int64_t density_entry_bytes(DensityType type) { return type == DensityType::kFloat ? 4 : 2; }

/// Entries from one row to the next: rows begin on cache lines and end in zeros, so that loops need no tails.
/// Rows a multiple of 4 KiB apart would compete for the same places in a first-level cache.
constexpr int64_t density_stride(int64_t cols, DensityType type) {
  const int64_t line = 64 / density_entry_bytes(type), lines = (cols + line - 1) / line;
  return (lines % 64 == 0 ? lines + 1 : lines) * line;
}

/// Bytes of the densities of a batch, whichever type each has at a time.
constexpr int64_t density_bytes(int64_t batch, int64_t rows, int64_t cols, DensityType type) {
  return batch * rows * density_stride(cols, type) * density_entry_bytes(type);
}

}  // namespace sotalign::kernels
