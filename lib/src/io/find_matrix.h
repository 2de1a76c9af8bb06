// Finds the matrix that a path names.
#pragma once

#include <string>

#include "io/host_matrix.h"

namespace sotalign::io {

/// The matrix in a .npy or safetensors file, or in the tensor that "file.safetensors:NAME" names. Reads no
/// values. Throws as read_matrix() does, except for values.
MatrixSource find_matrix(const std::string& path);

}  // namespace sotalign::io
