// The activations in double precision.
#pragma once

#include <algorithm>
#include <cmath>

#include "sotalign/nn/head.h"

namespace sotalign::testing {

inline constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu, Activation::kGelu,
                                              Activation::kTanh};

inline double activate(Activation activation, double z) {
  switch (activation) {
    case Activation::kNone:
      return z;
    case Activation::kRelu:
      return std::max(z, 0.0);
    case Activation::kGelu:
      return 0.5 * z * std::erfc(-z / std::sqrt(2.0));
    case Activation::kTanh:
      return std::tanh(z);
  }
  return 0;
}

}  // namespace sotalign::testing
