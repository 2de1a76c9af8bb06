// Matrices in 16-bit fixed point, each row with its own range: x_ij = centre_i + step_i q_ij, |q_ij| <=
// 32767. The error of an entry is at most half a step, 1 / 131068 of its row's range.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

inline constexpr float kFixedPointLimit = 32767.0f;

struct EncodeFixedPoint {
  const float* x = nullptr;  ///< [rows, cols], finite
  int64_t x_stride = 0;
  int16_t* q = nullptr;  ///< [rows, cols]
  int64_t q_stride = 0;
  float *centre = nullptr, *step = nullptr;  ///< [rows], output; step is 0 if all entries of a row are equal
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(encode_fixed_point, EncodeFixedPoint)

struct DecodeFixedPoint {
  const int16_t* q = nullptr;  ///< [rows, cols]
  int64_t q_stride = 0;
  const float *centre = nullptr, *step = nullptr;  ///< [rows]
  float* x = nullptr;                              ///< [rows, cols]
  int64_t x_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(decode_fixed_point, DecodeFixedPoint)

}  // namespace sotalign::kernels
