// Vectorised inner loops of the scaling form (sinkhorn_scaling.h). Densities and factors are padded with
// zeros to whole cache lines, so loops have no tails; `count` is the number of columns rounded up to a
// multiple of 16, a cache line of floats.
#pragma once

#include <cstdint>

namespace sotalign::kernels::cpu {

inline constexpr int kMostRows = 8;

/// A group of `rows` rows: 8, 4, 2 or 1. T is float, or uint16_t for bfloat16.
template <class T>
struct ScalingRows {
  const T* row[kMostRows];
  int rows;
};
/// sums[r] = sum_j row[r][j] t_j, in float within blocks of 2048 columns and in double across them.
void scaling_sums(const ScalingRows<float>& group, const float* t, double* sums, int64_t count);
void scaling_sums(const ScalingRows<uint16_t>& group, const float* t, double* sums, int64_t count);

/// columns_j += sum_r weights[r] row[r][j], always in the order of the rows, whatever the group. The rows are
/// in cache by now and memory would be idle, so it prefetches `next`, as many rows.
void scaling_columns(const ScalingRows<float>& group, const float* weights, float* columns,
                     const float* const* next, int64_t count);
void scaling_columns(const ScalingRows<uint16_t>& group, const float* weights, float* columns,
                     const uint16_t* const* next, int64_t count);

/// Rounds a row to bfloat16, ties to even.
void to_bfloat16_row(const float* row, uint16_t* out, int64_t count);

}  // namespace sotalign::kernels::cpu
