// Splits a double into a float and the rounding error.
#pragma once

namespace sotalign::kernels::cpu {

struct Rounded {
  float value;
  double rest;  ///< x = value + rest
};

/// Not inlined: with two calls next to each other the vectoriser of GCC 12 drops the rounding to float, and
/// the rest becomes 0.
[[gnu::noinline]] inline Rounded rounded(double x) {
  const float value = static_cast<float>(x);
  return {value, x - static_cast<double>(value)};
}

}  // namespace sotalign::kernels::cpu
