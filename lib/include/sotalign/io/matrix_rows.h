// Reads a matrix in a file some rows at a time, in order or by their numbers, so that it need not fit into
// memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/array.h"

namespace SOTALIGN_API sotalign {

/// A matrix [rows, cols] in a mapped file. Copies share the mapping. Values are checked when they are read.
///
///   const MatrixRows file = MatrixRows::open("images.npy");
///   std::vector<float> buffer;
///   for (int64_t first = 0; first < file.rows(); first += 4096)
///     use(file.read(first, std::min<int64_t>(4096, file.rows() - first), buffer));
///   file.require_unchanged();
class MatrixRows {
 public:
  /// Opens what read_matrix() reads. Throws IoError as it does, except for values.
  static MatrixRows open(const std::string& path);
  /// The same for a .npy file that is open as `descriptor`, a regular file. The descriptor stays the
  /// caller's. `name` stands for the path in messages.
  static MatrixRows open(int descriptor, const std::string& name);

  int64_t rows() const;
  int64_t cols() const;
  /// A float type.
  ElementType type() const;
  /// Bytes of a row as the file stores it.
  int64_t row_bytes() const;

  /// Rows [first, first + count) as float32: a view of the file if it holds aligned C-order float32, else of
  /// `buffer`, which grows as needed. Throws IoError for values that are not finite in float32; the message
  /// names the first of these rows. Throws InvalidArgument for rows out of range.
  ConstMatrixF read(int64_t first, int64_t count, std::vector<float>& buffer) const;
  /// Copies a row as the file stores it, without a check of its values.
  /// @param bytes [row_bytes()]
  void read_stored(int64_t row, void* bytes) const;

  /// Whether a row lies in one piece in the file: so it does in C order, and in Fortran order it does not.
  bool stored_by_rows() const;
  /// Row i of `out` is row index[i] as float32. Reads only these rows, without the mapping: a file that was
  /// shortened meanwhile gives an IoError rather than a signal. Throws as read() and require_unchanged() do.
  /// Different threads may call it at the same time.
  /// @param index [count], in any order
  /// @param out [count, cols]
  void gather(const int64_t* index, int64_t count, float* out) const;

  /// Tells the system that these rows, and views of them, are not needed for now, so that they take no memory
  /// of this process. Does nothing for Fortran order, where rows share pages.
  void release(int64_t first, int64_t count) const;
  /// Throws IoError if the file was written to after it was opened. Call it after the last read and before
  /// using anything computed from the rows.
  void require_unchanged() const;

 private:
  struct Impl;
  explicit MatrixRows(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  void check_range(int64_t first, int64_t count) const;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace sotalign
