// Matrices in 16-bit fixed point: x_ij = q_ij bound / 32767, q in [-32767, 32767]. Entries between -bound and
// bound are off by half a step at most, bound / 65534; others become the nearer of the two.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

inline constexpr float kFixedPointLimit = 32767.0f;

struct EncodeFixedPoint {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  float bound = 1.0f;    ///< > 0
  int16_t* q = nullptr;  ///< [rows, cols]
  int64_t q_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(encode_fixed_point, EncodeFixedPoint)

struct DecodeFixedPoint {
  const int16_t* q = nullptr;  ///< [rows, cols]
  int64_t q_stride = 0;
  float bound = 1.0f;  ///< that of the encoding
  float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(decode_fixed_point, DecodeFixedPoint)

}  // namespace sotalign::kernels
