// Reads a matrix in a file into a HostMatrix: converts it to float32 and checks that every value is finite,
// in one pass over the file, on all cores.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "sotalign/io/array.h"

namespace sotalign::io {

enum class StorageOrder { kC, kFortran };

struct MatrixSource {
  std::shared_ptr<const MappedFile> file;
  std::string label;   ///< the name of the matrix in messages: the path, or the path and tensor
  const char* data;    ///< the first element; the file holds all elements of the shape
  ElementType type;    ///< a float type
  StorageOrder order;  ///< the order of the elements
  std::vector<int64_t> shape;
};

/// Keeps aligned C-order float32 in the mapped file; converts everything else. Throws IoError unless the
/// shape is that of a matrix with at least one row and column, and for values that are not finite in float32;
/// the message names the first one in row-major order.
HostMatrix to_host_matrix(const MatrixSource& source);

/// Throws IoError unless the shape is that of a matrix with at least one row and column.
void require_matrix(const MatrixSource& source);

/// Whether the file holds the rows as aligned C-order float32, so that they need no conversion.
bool holds_float_rows(const MatrixSource& source);

/// Converts rows [first, first + count) to float32. Throws IoError as to_host_matrix() does.
/// @param values [count, cols]
void read_rows(const MatrixSource& source, int64_t first, int64_t count, float* values);

/// Row `row` from its stored bytes, [cols] elements in C order, to float32. Throws IoError as
/// to_host_matrix() does.
/// @param values [cols]
void decode_row(const MatrixSource& source, int64_t row, const char* stored, float* values);

/// Throws IoError, as read_rows() does, unless the rows are finite. Precondition: holds_float_rows().
void check_float_rows(const MatrixSource& source, int64_t first, int64_t count);

}  // namespace sotalign::io
