// Rows of embeddings wherever they are: in the memory of the host, in a file, or in several files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/array.h"
#include "sotalign/io/matrix_rows.h"

namespace SOTALIGN_API sotalign {

/// Float32 rows [rows, cols]: a matrix in host memory, or the matrices of several files, one after another.
/// Copies share memory and files.
///
///   const EmbeddingRows rows({MatrixRows::open("images-0.npy"), MatrixRows::open("images-1.npy")});
class EmbeddingRows {
 public:
  EmbeddingRows() = default;
  /// A matrix in host memory that stays the caller's and must outlive this object.
  EmbeddingRows(ConstMatrixF rows);  // NOLINT(google-explicit-constructor): rows are rows, wherever they are
  EmbeddingRows(const float* data, int64_t rows, int64_t cols)
      : EmbeddingRows(ConstMatrixF(data, rows, cols)) {}
  /// A matrix that is kept with this object.
  EmbeddingRows(HostMatrix rows);  // NOLINT(google-explicit-constructor)
  /// One matrix or more in files. Throws InvalidArgument if they differ in their columns.
  explicit EmbeddingRows(std::vector<MatrixRows> files);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  bool empty() const { return rows_ == 0; }
  /// Whether rows come from files.
  bool in_files() const { return !files_.empty(); }
  /// Whether gather() reads each row in one piece; see MatrixRows::stored_by_rows().
  bool stored_by_rows() const;

  /// Rows [first, first + count): a view of the memory or the mapped file where possible, else of `buffer`,
  /// which grows as needed. Throws as MatrixRows::read() does; messages count the rows of each file from 0.
  ConstMatrixF read(int64_t first, int64_t count, std::vector<float>& buffer) const;
  /// Row i of `out` is row index[i]. Throws as MatrixRows::gather() does. Different threads may call it at
  /// the same time.
  /// @param index [count], in any order
  /// @param out [count, cols]
  void gather(const int64_t* index, int64_t count, float* out) const;
  /// Tells the system that these rows are not needed for now; see MatrixRows::release().
  void release(int64_t first, int64_t count) const;
  /// Throws IoError if a file was written to after it was opened.
  void require_unchanged() const;

 private:
  /// The file that holds `row`.
  size_t file_of(int64_t row) const;
  void check_range(int64_t first, int64_t count) const;

  ConstMatrixF memory_ = {};
  HostMatrix kept_;  // holds memory_, or is empty
  std::vector<MatrixRows> files_;
  std::vector<int64_t> first_;  // row of each file
  int64_t rows_ = 0, cols_ = 0;
};

/// The checksum() of all rows as float32. It does not depend on how they are stored or divided into files.
std::string checksum(const EmbeddingRows& rows);

}  // namespace sotalign
