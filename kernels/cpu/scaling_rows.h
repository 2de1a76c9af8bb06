// The vectorised inner loops of the scaling form (sinkhorn_scaling.h). Densities and factors end in zeros up
// to a multiple of 64 bytes: there are no tails, and `count` is that multiple.
#pragma once

#include <cstdint>

namespace sotalign::kernels::cpu {

inline constexpr int kMostRows = 8;

/// A group of rows, `rows` of them: 8, 4, 2 or 1. T is float, or uint16_t for bfloat16.
template <class T>
struct ScalingRows {
  const T* row[kMostRows];
  int rows;
};
/// sums[r] = sum_j row[r][j] t_j, carried in double across blocks of 2048 columns.
void scaling_sums(const ScalingRows<float>& group, const float* t, double* sums, int64_t count);
void scaling_sums(const ScalingRows<uint16_t>& group, const float* t, double* sums, int64_t count);

/// columns_j += sum_r weights[r] row[r][j], in the order of the rows, whatever the group. The rows are in
/// cache by now, so memory would be idle: `next`, as many rows, is asked for.
void scaling_columns(const ScalingRows<float>& group, const float* weights, float* columns,
                     const float* const* next, int64_t count);
void scaling_columns(const ScalingRows<uint16_t>& group, const float* weights, float* columns,
                     const uint16_t* const* next, int64_t count);

/// bfloat16 of a row, to nearest even.
void to_bfloat16_row(const float* row, uint16_t* out, int64_t count);

}  // namespace sotalign::kernels::cpu
