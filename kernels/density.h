// Storage of the density exp(K_ij / epsilon + u_i - log a_i + v_j) of the scaling form (sinkhorn_scaling.h).
#pragma once

#include <cstdint>

namespace sotalign::kernels {

enum class DensityType { kFloat, kBfloat16 };

constexpr int64_t density_entry_bytes(DensityType type) { return type == DensityType::kFloat ? 4 : 2; }

/// Row stride in entries. Rows start on a cache line and are padded with zeros, so loops need no tail.
/// Strides that are multiples of 4 KiB are avoided, since all rows would then compete for the same L1 sets.
constexpr int64_t density_stride(int64_t cols, DensityType type) {
  const int64_t line = 64 / density_entry_bytes(type), lines = (cols + line - 1) / line;
  return (lines % 64 == 0 ? lines + 1 : lines) * line;
}

/// Bytes of a batch's densities stored as `type`. Room for float also holds bfloat16.
constexpr int64_t density_bytes(int64_t batch, int64_t rows, int64_t cols, DensityType type) {
  return batch * rows * density_stride(cols, type) * density_entry_bytes(type);
}

}  // namespace sotalign::kernels
