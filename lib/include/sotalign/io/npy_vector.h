// Vectors of real numbers, such as weights, from .npy files.
#pragma once

#include <string>
#include <vector>

namespace sotalign {

/// A float16, float32 or float64 array of one dimension, or of two if one of them is 1. Throws IoError for
/// anything else, for an empty array and for the first entry that is not finite.
std::vector<double> read_npy_vector(const std::string& path);

}  // namespace sotalign
