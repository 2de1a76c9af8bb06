// Owning arrays in the memory of a context.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "sotalign/core/checked.h"
#include "sotalign/core/context.h"
#include "sotalign/core/error.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// `size` elements in the memory of a context, initialized to zero. Move-only; the context must outlive it.
/// Throws InvalidArgument if `size` is negative or takes more than 2^63 - 1 bytes, and OutOfMemory; both
/// messages name `purpose`.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Context& context, int64_t size, const char* purpose = "buffer") : context_(&context), size_(size) {
    const auto bytes = static_cast<size_t>(checked_product(purpose, size, sizeof(T)));
    data_ = static_cast<T*>(context.allocate(bytes, purpose));
    if (bytes > 0) context.fill_zero(data_, bytes);
  }
  /// Copies `values` from the host.
  Buffer(Context& context, const std::vector<T>& values, const char* purpose = "buffer")
      : Buffer(context, static_cast<int64_t>(values.size()), purpose) {
    upload(values.data());
  }
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }

  /// Copy size() elements from or to the host. Both synchronize.
  void upload(const T* host) {
    if (size_ > 0) context_->copy_to_device(data_, host, static_cast<size_t>(size_) * sizeof(T));
  }
  void download(T* host) const {
    if (size_ > 0) context_->copy_to_host(host, data_, static_cast<size_t>(size_) * sizeof(T));
  }
  std::vector<T> download() const {
    std::vector<T> host(static_cast<size_t>(size_));
    download(host.data());
    return host;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void release() noexcept {
    if (data_ != nullptr) context_->deallocate(data_);
    context_ = nullptr, data_ = nullptr, size_ = 0;
  }

  Context* context_ = nullptr;
  T* data_ = nullptr;
  int64_t size_ = 0;
};

/// A row-major matrix [rows, cols] without padding, in the memory of a context, initialized to zero.
/// Move-only.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Context& context, int64_t rows, int64_t cols, const char* purpose = "matrix")
      : buffer_(context, checked_product(purpose, rows, cols), purpose), rows_(rows), cols_(cols) {}
  /// Copies `host`, [rows, cols] row-major on the host.
  Matrix(Context& context, const T* host, int64_t rows, int64_t cols, const char* purpose = "matrix")
      : Matrix(context, rows, cols, purpose) {
    buffer_.upload(host);
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return buffer_.size(); }
  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  MatrixView<T> view() { return {data(), rows_, cols_}; }
  MatrixView<const T> view() const { return {data(), rows_, cols_}; }
  operator MatrixView<T>() { return view(); }
  operator MatrixView<const T>() const { return view(); }
  /// Copy size() elements, row-major, from or to the host. Both synchronize.
  void upload(const T* host) { buffer_.upload(host); }
  std::vector<T> download() const { return buffer_.download(); }
  /// The same for a host matrix of this shape, with any stride; its padding stays as it is. Throws
  /// InvalidArgument for another shape.
  void upload(MatrixView<const T> host) {
    require_shape(host);
    if (host.contiguous()) return buffer_.upload(host.data);
    std::vector<T> packed(static_cast<size_t>(size()));
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(host.row(i), cols_, packed.data() + i * cols_);
    buffer_.upload(packed.data());
  }
  void download(MatrixView<T> host) const {
    require_shape(host);
    if (host.contiguous()) return buffer_.download(host.data);
    const std::vector<T> packed = download();
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(packed.data() + i * cols_, cols_, host.row(i));
  }

 private:
  void require_shape(MatrixView<const T> host) const {
    if (host.rows != rows_ || host.cols != cols_)
      throw InvalidArgument("matrix: expected host rows of the same shape");
  }

  Buffer<T> buffer_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
};

}  // namespace sotalign
