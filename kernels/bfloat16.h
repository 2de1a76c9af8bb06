// bfloat16 (the upper 16 bits of a float) as a storage type; arithmetic is in float. Finite values only.
#pragma once

#include <bit>
#include <cstdint>

namespace sotalign::kernels {

/// Rounds to nearest, ties to even.
constexpr uint16_t to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
constexpr float from_bfloat16(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

}  // namespace sotalign::kernels
