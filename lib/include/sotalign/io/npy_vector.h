// Reads vectors of real numbers, such as weights, from .npy files.
#pragma once

#include <string>
#include <vector>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// Reads a float16, float32 or float64 array of shape [n], [n, 1] or [1, n]. Throws IoError for any other
/// array, for an empty one, and for entries that are not finite; the message names the first.
std::vector<double> read_npy_vector(const std::string& path);

}  // namespace sotalign
