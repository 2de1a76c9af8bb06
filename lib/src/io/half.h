// Conversions between float32 and float16 or bfloat16. Widening is exact, narrowing rounds to nearest even;
// subnormals, infinities and NaN are handled. The arithmetic is simple enough for compilers to vectorize the
// loops around it for the baseline instruction set, which has no conversion instructions.
#pragma once

#include <bit>
#include <cstdint>

namespace sotalign::io {

inline float float16_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu;
  const uint32_t sign = (half & 0x8000u) << 16;
  // The exponent biases are 15 and 127; a subnormal float16 is a multiple of 2^-24.
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t special = (magnitude << 13) | 0x7f800000u;
  const uint32_t finite = magnitude < 0x0400u ? subnormal : normal;
  return std::bit_cast<float>(sign | (magnitude < 0x7c00u ? finite : special));
}

inline uint16_t float_to_float16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // NaN stays NaN and becomes quiet
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14: the addition of 1/2 rounds, and leaves the subnormal in the low bits.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    // A carry out of the mantissa correctly increments the exponent; values from 65520 on become infinity.
    const uint32_t rounded = magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u);
    half = rounded >= (31u << 23) ? 0x7c00u : rounded >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

inline float bfloat16_to_float(uint16_t half) {
  return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<uint16_t>((nan ? bits | 0x00400000u : rounded) >> 16);
}

}  // namespace sotalign::io
