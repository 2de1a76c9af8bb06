// From the bytes of a matrix in a file to a HostMatrix: conversion to float32 and the check that every value
// is finite, in one pass over the file, by all cores.
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
  std::string label;   ///< how messages name the matrix: the path, or path:tensor
  const char* data;    ///< within the file, every byte of the shape present
  ElementType type;    ///< a float type
  StorageOrder order;  ///< in which the shape's elements are stored
  std::vector<int64_t> shape;
};

/// C-order float32 stays where it is in the mapped file; everything else is converted.
/// Throws IoError if the shape is not that of a matrix with at least one row and column, or names the first
/// value, in row-major order, that float32 cannot hold as a finite number.
HostMatrix to_host_matrix(const MatrixSource& source);

}  // namespace sotalign::io
