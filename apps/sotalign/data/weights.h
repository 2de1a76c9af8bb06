// Marginal weights and potentials from files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotalign::app {

/// A .npy vector [expected], or a matrix with one row or one column of that size; no path gives no weights.
std::vector<double> read_weights(const std::string& path, int64_t expected);

}  // namespace sotalign::app
