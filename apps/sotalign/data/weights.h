// Reads marginal weights from files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotalign::app {

/// Reads a .npy vector [expected], or a matrix with one row or column of that size. Empty without a path.
std::vector<double> read_weights(const std::string& path, int64_t expected);

}  // namespace sotalign::app
