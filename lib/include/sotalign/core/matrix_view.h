// Non-owning views of row-major matrices in the memory of a Context.
#pragma once

#include <cstdint>
#include <type_traits>

namespace sotalign {

/// [rows, cols], row-major; element (i, j) is data[i * stride + j], stride >= cols, in elements.
/// An owner outlives its views. A view of T converts to a view of const T.
template <class T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* data_, int64_t rows_, int64_t cols_) : MatrixView(data_, rows_, cols_, cols_) {}
  MatrixView(T* data_, int64_t rows_, int64_t cols_, int64_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}
  template <class U>
  requires(std::is_same_v<T, const U>) MatrixView(const MatrixView<U>& other)
      : MatrixView(other.data, other.rows, other.cols, other.stride) {}

  T* row(int64_t i) const { return data + i * stride; }
  int64_t size() const { return rows * cols; }
  bool empty() const { return rows == 0 || cols == 0; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  MatrixView row_range(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};

using MatrixF = MatrixView<float>;
using ConstMatrixF = MatrixView<const float>;
using MatrixD = MatrixView<double>;
using ConstMatrixD = MatrixView<const double>;

}  // namespace sotalign
