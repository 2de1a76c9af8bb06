// Embeddings from whatever file people keep them in.
#pragma once

#include <string>

#include "sotalign/io/array.h"

namespace sotalign {

/// The matrix in a .npy file, or in a safetensors file: its only two-dimensional tensor, or the one that
/// `path` names as "file.safetensors:NAME". Which format it is shows in the content, not in the file's name.
/// Float types become float32; a value that is not finite, a matrix without rows or columns, and a malformed
/// file throw IoError. The result may be a view of the file: see HostMatrix.
HostMatrix read_matrix(const std::string& path);

}  // namespace sotalign
