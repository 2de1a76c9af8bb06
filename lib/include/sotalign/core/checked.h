// Overflow-checked arithmetic on sizes from files, options and arguments. If a product wrapped around, a
// large shape would get a small allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The product of `extents`, 1 if there are none. nullopt if an extent is negative or a partial product
/// exceeds 2^63 - 1.
constexpr std::optional<int64_t> try_product(std::span<const int64_t> extents) {
  int64_t product = 1;
  for (const int64_t extent : extents)
    if (extent < 0 || __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  return product;
}

/// The same product; throws InvalidArgument "WHAT: impossible size [EXTENTS]" instead of returning nullopt.
int64_t checked_product(std::string_view what, std::span<const int64_t> extents);
/// a * b, with the same exception.
int64_t checked_product(std::string_view what, int64_t a, int64_t b);
/// a + b for a, b >= 0, with the same exception.
int64_t checked_sum(std::string_view what, int64_t a, int64_t b);

}  // namespace sotalign
