// NumPy's .npy files: format versions 1 to 3, little-endian, C and Fortran order. Files are not trusted: a
// header that promises more data than the file holds is an error, not an allocation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/array.h"

namespace SOTALIGN_API sotalign {

/// What a .npy file declares about its array.
struct NpyInfo {
  ElementType type = ElementType::kOther;
  std::string descr;  ///< the type as the file writes it, for example "<f4"
  std::vector<int64_t> shape;
  bool fortran_order = false;
};

/// Reads the header. Throws IoError if it is malformed or does not match the size of the file.
NpyInfo inspect_npy(const std::string& path);

/// Reads a two-dimensional float16, float32 or float64 array as a float32 matrix. C-order float32 is mapped,
/// not copied. Throws IoError for any other type or number of dimensions, for a matrix without rows or
/// columns, and for values that are not finite in float32; the message names the first one by row and column,
/// counted from 0.
HostMatrix read_npy_matrix(const std::string& path);

/// Reads a one-dimensional array of an integer type, such as labels or group ids. Throws IoError for any
/// other array, for an empty one and for values beyond int64.
std::vector<int64_t> read_npy_integers(const std::string& path);

/// The header of a little-endian C-order array: the file's bytes up to the first element. As in NumPy, these
/// are a multiple of 64 bytes. Throws InvalidArgument for kBfloat16 and kOther, which .npy does not have.
std::string npy_header(ElementType type, const std::vector<int64_t>& shape);

/// Write a host matrix as C-order '<f4' or '<f8', or a vector as '<f4' or '<i8', through AtomicFile. Throw
/// IoError.
void write_npy(const std::string& path, ConstMatrixF matrix);
void write_npy(const std::string& path, ConstMatrixD matrix);
void write_npy(const std::string& path, const std::vector<float>& values);
void write_npy(const std::string& path, const std::vector<int64_t>& values);

}  // namespace sotalign
