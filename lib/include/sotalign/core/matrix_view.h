// Non-owning views of row-major matrices. The library reads and writes matrices through views, whoever owns
// the memory: a Matrix of this library, a vector, or a tensor of another framework.
#pragma once

#include <cstdint>
#include <type_traits>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// A matrix [rows, cols], row-major: element (i, j) is data[i * stride + j], with stride >= cols, in
/// elements.
///
/// To pass your own memory, wrap it in a view: MatrixView<float>(pointer, rows, cols, stride). The library
/// neither copies nor keeps the memory unless the function's documentation says so.
///  - Location: memory that the context's device can access. For a CUDA context that is memory of its device
///    (cudaMalloc, a pool, a framework's tensor), not host memory; for a CPU context, host memory. File
///    readers and the Trainer use host memory in either case and say so.
///  - Alignment: alignof(T). No row needs more; rows that start at multiples of 64 bytes are faster.
///  - Padding: the stride - cols elements after each row are neither read nor written.
///  - Lifetime: on the CPU, until the call returns. On CUDA, until the work that the call queues on the
///    context's stream is done; freeing the memory in stream order (cudaFreeAsync) needs no synchronization.
///  - Aliasing: not allowed unless a function says so.
/// A view of T converts to a view of const T.
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
  /// Whether the rows are stored without padding.
  bool contiguous() const { return stride == cols || rows <= 1; }
  /// Rows first ... first + count - 1.
  MatrixView row_range(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};

using MatrixF = MatrixView<float>;
using ConstMatrixF = MatrixView<const float>;
using MatrixD = MatrixView<double>;
using ConstMatrixD = MatrixView<const double>;

}  // namespace sotalign
