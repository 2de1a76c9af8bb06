// The vectorised inner loops of the scaling form (sinkhorn_scaling.h). Densities and factors end in zeros up
// to a multiple of 64 bytes: there are no tails, and `count` is that multiple.
#pragma once

#include <cstdint>

namespace sotalign::kernels::cpu {

inline constexpr int kMostRows = 4;

/// One sweep over a group of rows that come from memory and over the group before it, which is in cache by
/// now:
///   sums[r] = sum_j next[r][j] t_j       columns_j += sum_r weights[r] previous[r][j]
/// Memory is kept busy while the sums of the group before enter the columns. `rows` is 1, 2 or 4; rows may be
/// repeated to fill a group. Sums are carried in double across blocks of 2048 columns.
template <class T>
struct ScalingSweep {
  const T* next[kMostRows];
  const T* previous[kMostRows];
  float weights[kMostRows];  ///< of the previous rows
  double sums[kMostRows];    ///< of the next rows
};
/// T is float, or uint16_t for bfloat16.
void scaling_sweep(ScalingSweep<float>& sweep, int rows, const float* t, float* columns, int64_t count);
void scaling_sweep(ScalingSweep<uint16_t>& sweep, int rows, const float* t, float* columns, int64_t count);

/// bfloat16 of a row, to nearest even.
void to_bfloat16_row(const float* row, uint16_t* out, int64_t count);

}  // namespace sotalign::kernels::cpu
