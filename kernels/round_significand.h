// Rounding of a float's significand, as tensor cores round the factors of a product.
#pragma once

#include <bit>
#include <cstdint>

namespace sotalign::kernels {

/// `x` rounded to `bits` significant bits, 2 to 23, ties to even; infinities and NaNs stay.
constexpr float round_significand(float x, int bits) {
  const uint32_t word = std::bit_cast<uint32_t>(x);
  if ((word & 0x7f800000u) == 0x7f800000u) return x;
  const int dropped = 24 - bits;
  const uint32_t half = uint32_t{1} << (dropped - 1), odd = (word >> dropped) & 1;
  return std::bit_cast<float>((word + half - 1 + odd) & ~((uint32_t{1} << dropped) - 1));
}

}  // namespace sotalign::kernels
