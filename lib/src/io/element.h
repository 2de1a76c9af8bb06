// Decodes the elements of a file. They may be unaligned: loads go through memcpy, which costs nothing. Files
// are little-endian, and so are all machines this library supports.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "io/half.h"
#include "sotalign/io/array.h"

namespace sotalign::io {

static_assert(std::endian::native == std::endian::little);

template <class Stored>
Stored load(const char* bytes, int64_t index) {
  Stored value;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(Stored)), sizeof(Stored));
  return value;
}

struct Float16Element {
  using Stored = uint16_t;
  static float decode(Stored bits) { return float16_to_float(bits); }
};
struct Bfloat16Element {
  using Stored = uint16_t;
  static float decode(Stored bits) { return bfloat16_to_float(bits); }
};
struct Float32Element {
  using Stored = float;
  static float decode(Stored value) { return value; }
};
struct Float64Element {
  using Stored = double;
  static double decode(Stored value) { return value; }
};

template <class Element>
constexpr int64_t kStoredBytes = static_cast<int64_t>(sizeof(typename Element::Stored));

inline bool is_float(ElementType type) { return type <= ElementType::kFloat64; }

/// Calls action(Float16Element{}) or the equivalent for `type`, which must be a float type: see is_float().
template <class Action>
auto with_float_element(ElementType type, Action&& action) {
  switch (type) {
    case ElementType::kFloat16:
      return action(Float16Element{});
    case ElementType::kBfloat16:
      return action(Bfloat16Element{});
    case ElementType::kFloat32:
      return action(Float32Element{});
    default:
      return action(Float64Element{});
  }
}

}  // namespace sotalign::io
