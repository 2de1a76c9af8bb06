// Matrices with gaps: memory that a kernel must not touch lies between the rows and around them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "sotalign/core/buffer.h"

namespace sotalign::testing {

/// A matrix's place in its buffer: the offset of the first entry, and the gap between two rows.
struct Layout {
  int64_t offset = 0, gap = 0;
};

/// Dense rows; rows aligned to 16 bytes with a gap after them; unaligned rows.
inline std::vector<Layout> layouts(int64_t cols) { return {{0, 0}, {4, 8 + (4 - cols % 4) % 4}, {3, 2}}; }

/// A layout with the same alignment but another stride, so that strides cannot be confused.
inline Layout wider(Layout layout) { return {layout.offset + 4, layout.gap + 4}; }

/// A [rows, cols] matrix in a context's memory, surrounded by `guard`. download() fails the test if a guard
/// changed. Inputs use NaN guards, which spread to any result computed from them, and have no guard after the
/// last entry, so that AddressSanitizer detects a read there.
template <class T>
class Strided {
 public:
  Strided(Context& context, int64_t rows, int64_t cols, Layout layout, T guard = T(-777.25))
      : Strided(context, std::vector<T>(size_t(rows * cols), guard), rows, cols, layout, guard) {}
  /// For inputs.
  Strided(Context& context, const std::vector<T>& dense, int64_t rows, int64_t cols, Layout layout,
          T guard = std::numeric_limits<T>::quiet_NaN())
      : rows_(rows), cols_(cols), layout_(layout), guard_(guard) {
    const int64_t behind = rows > 0 && std::isnan(guard) ? -layout.gap : 5;
    std::vector<T> host(size_t(layout.offset + rows * stride() + behind), guard);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) host[layout.offset + i * stride() + j] = dense[i * cols + j];
    buffer_ = Buffer<T>(context, host);
  }

  T* data() { return buffer_.data() + layout_.offset; }
  const T* data() const { return buffer_.data() + layout_.offset; }
  int64_t stride() const { return cols_ + layout_.gap; }

  std::vector<T> download() const {
    std::vector<T> host = buffer_.download(), dense(size_t(rows_ * cols_));
    for (int64_t i = 0; i < rows_; ++i) {
      const auto row = host.begin() + layout_.offset + i * stride();
      std::copy_n(row, cols_, dense.begin() + i * cols_);
      std::fill_n(row, cols_, guard_);
    }
    const std::vector<T> guards(host.size(), guard_);
    EXPECT_EQ(std::memcmp(host.data(), guards.data(), host.size() * sizeof(T)), 0)
        << "written outside of [" << rows_ << ", " << cols_ << "], stride " << stride();
    return dense;
  }

 private:
  Buffer<T> buffer_;
  int64_t rows_, cols_;
  Layout layout_;
  T guard_;
};

}  // namespace sotalign::testing
