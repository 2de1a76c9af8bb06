// Reads embeddings from .npy and safetensors files.
#pragma once

#include <string>

#include "sotalign/io/array.h"

namespace SOTALIGN_API sotalign {

/// Reads the matrix in a .npy file, or the only two-dimensional tensor of a safetensors file, or the tensor
/// that `path` names as "file.safetensors:NAME". The content, not the file's name, decides the format. Float
/// types become float32. Throws IoError for values that are not finite, for a matrix without rows or columns,
/// and for a malformed file. The result may be a view of the mapped file: see HostMatrix.
HostMatrix read_matrix(const std::string& path);

}  // namespace sotalign
