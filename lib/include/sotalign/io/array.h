// Element types of arrays in files, and the float32 host matrix that the readers return.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "sotalign/core/matrix_view.h"

namespace sotalign::io {
class MappedFile;
}

namespace SOTALIGN_API sotalign {

/// The type of the elements of an array in a file.
enum class ElementType {
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kOther,  ///< complex numbers, structures, 8-bit floats, ...: recognized, but not read
};

/// "float16", "int64", ...
const char* to_string(ElementType type);
/// Bytes of one element; 0 for kOther.
int64_t element_bytes(ElementType type);

/// An immutable row-major float32 matrix [rows, cols] in host memory, or in a memory-mapped file that holds
/// exactly these bytes. Copies share the memory. If another process shortens a mapped file, reading the
/// matrix raises SIGBUS (see mapped_file_at()); if it overwrites the file, the matrix changes.
class HostMatrix {
 public:
  HostMatrix() = default;
  /// Shares `data`, [rows, cols]; `file` is the mapped file that contains it, if any.
  HostMatrix(std::shared_ptr<const float> data, int64_t rows, int64_t cols,
             std::shared_ptr<const io::MappedFile> file = nullptr)
      : data_(std::move(data)), file_(std::move(file)), rows_(rows), cols_(cols) {}
  /// Takes ownership of `values`, [rows, cols]; throws InvalidArgument unless it has rows * cols elements.
  HostMatrix(std::vector<float> values, int64_t rows, int64_t cols);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const float* data() const { return data_.get(); }
  ConstMatrixF view() const { return {data_.get(), rows_, cols_}; }

  /// Throws IoError if the matrix is in a mapped file that was written to after it was mapped. Call it after
  /// reading the values and before using anything computed from them.
  void require_unchanged() const;

 private:
  std::shared_ptr<const float> data_;
  std::shared_ptr<const io::MappedFile> file_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
};

}  // namespace sotalign
