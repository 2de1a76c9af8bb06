// NumPy's .npy files: format versions 1 to 3, little-endian, C and Fortran order. Nothing in a file is
// trusted: a header that promises more than the file holds is an error, not an allocation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/array.h"

namespace sotalign {

struct NpyInfo {
  ElementType type = ElementType::kOther;
  std::string descr;  ///< the type as the file writes it, for example "<f4"
  std::vector<int64_t> shape;
  bool fortran_order = false;
};

/// What the header says. Throws IoError if it is malformed or the file's size does not fit it.
NpyInfo inspect_npy(const std::string& path);

/// A float16, float32 or float64 array of two dimensions as a float32 matrix. C-order float32 is not copied.
/// Throws IoError for another type or number of dimensions, no rows or columns, and values that are not
/// finite in float32: the first one is named by row and column, counted from 0.
HostMatrix read_npy_matrix(const std::string& path);

/// A one-dimensional array of an integer type: labels, group ids. Throws IoError for anything else, for an
/// empty array and for values beyond int64.
std::vector<int64_t> read_npy_integers(const std::string& path);

/// Written as C-order '<f4', '<f8', or one-dimensional '<i8', through AtomicFile. Throws IoError.
void write_npy(const std::string& path, ConstMatrixF matrix);
void write_npy(const std::string& path, ConstMatrixD matrix);
void write_npy(const std::string& path, const std::vector<int64_t>& values);

}  // namespace sotalign
