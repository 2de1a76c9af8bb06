// A double as single precision holds it, and what that leaves.
#pragma once

namespace sotalign::kernels::cpu {

struct Rounded {
  float value;
  double rest;  ///< x = value + rest
};

/// Not inlined: where two of these stand side by side, the vectoriser of GCC 12 takes the float back to the
/// double that it came from, and the rest is 0.
[[gnu::noinline]] inline Rounded rounded(double x) {
  const float value = static_cast<float>(x);
  return {value, x - static_cast<double>(value)};
}

}  // namespace sotalign::kernels::cpu
