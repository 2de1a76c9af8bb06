#include "io/host_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "io/decode_float16.h"
#include "io/element.h"
#include "io/text.h"
#include "sotalign/core/error.h"

namespace sotalign::io {

namespace {

constexpr int64_t kBlock = 1 << 14;  // floats: 64 KiB, still in the L2 cache for the check
constexpr int64_t kTile = 64;

bool all_finite(const float* values, int64_t count) {
  uint32_t exponent_full = 0;
#pragma omp simd reduction(| : exponent_full)
  for (int64_t i = 0; i < count; ++i)
    exponent_full |= (std::bit_cast<uint32_t>(values[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  return exponent_full == 0;
}

bool all_finite_parallel(const float* values, int64_t count) {
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(&& : finite) if (count > kBlock)
  for (int64_t first = 0; first < count; first += kBlock)
    finite = all_finite(values + first, std::min(kBlock, count - first)) && finite;
  return finite;
}

template <class Element>
void decode(const char* source, int64_t count, float* result) {
  if constexpr (std::is_same_v<Element, Float16Element>) {
    decode_float16(source, count, result);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      result[i] = static_cast<float>(Element::decode(load<typename Element::Stored>(source, i)));
  }
}

template <class Element>
bool convert(const char* source, int64_t count, float* result) {
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(&& : finite) if (count > kBlock)
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t size = std::min(kBlock, count - first);
    decode<Element>(source + first * kStoredBytes<Element>, size, result + first);
    finite = all_finite(result + first, size) && finite;
  }
  return finite;
}

/// As convert(), for `rows` rows of a column-major source with columns of `stride` elements. Each tile is
/// read along the columns and written along the rows, so that both sides use whole cache lines.
template <class Element>
bool convert_transposed(const char* source, int64_t stride, int64_t rows, int64_t cols, float* result) {
  bool finite = true;
#pragma omp parallel for schedule(static) collapse(2) reduction(&& : finite) if (rows * cols > kBlock)
  for (int64_t first_row = 0; first_row < rows; first_row += kTile)
    for (int64_t first_col = 0; first_col < cols; first_col += kTile) {
      const int64_t height = std::min(kTile, rows - first_row), width = std::min(kTile, cols - first_col);
      float tile[kTile][kTile + 1];  // the odd stride spreads a column over the cache sets
      for (int64_t j = 0; j < width; ++j)
        decode<Element>(source + ((first_col + j) * stride + first_row) * kStoredBytes<Element>, height,
                        tile[j]);
      for (int64_t i = 0; i < height; ++i) {
        float* row = result + (first_row + i) * cols + first_col;
        for (int64_t j = 0; j < width; ++j) row[j] = tile[j][i];
        finite = all_finite(row, width) && finite;
      }
    }
  return finite;
}

std::shared_ptr<float> allocate(int64_t count, const std::string& label) {
  // Not a std::vector: zeroing it would touch every page once more, and on a single thread.
  constexpr size_t kAlignment = 64;
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  void* memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (memory == nullptr)
    throw OutOfMemory(fmt::format("out of memory on the host: {:.2f} GiB asked for to read {}",
                                  static_cast<double>(bytes) / (1 << 30), label));
  return {static_cast<float*>(memory), [](float* p) { std::free(p); }};
}

double stored_value(ElementType type, const char* data, int64_t index) {
  return with_float_element(type, [&](auto element) {
    using Element = decltype(element);
    return static_cast<double>(Element::decode(load<typename Element::Stored>(data, index)));
  });
}

[[noreturn]] void throw_not_finite(const MatrixSource& source, int64_t row, int64_t col, double value) {
  if (std::isfinite(value))
    throw IoError(fmt::format("{}: row {}, column {} is {:g}, expected values within the range of float32",
                              source.label, row, col, value));
  throw IoError(fmt::format("{}: row {}, column {} is {}, expected finite values", source.label, row, col,
                            std::isnan(value) ? "nan" : (value < 0 ? "-inf" : "inf")));
}

/// `converted` holds the rows from `first` on.
[[noreturn]] void throw_first_non_finite(const MatrixSource& source, int64_t first, ConstMatrixF converted) {
  int64_t at = 0;
  while (std::isfinite(converted.data[at])) ++at;
  const int64_t row = first + at / converted.cols, col = at % converted.cols;
  const int64_t stored =
      source.order == StorageOrder::kC ? row * converted.cols + col : col * source.shape[0] + row;
  throw_not_finite(source, row, col, stored_value(source.type, source.data, stored));
}

/// A single row or column is stored the same way in both orders.
bool is_transposed(const MatrixSource& source) {
  return source.order == StorageOrder::kFortran && source.shape[0] > 1 && source.shape[1] > 1;
}

}  // namespace

void require_matrix(const MatrixSource& source) {
  if (source.shape.size() != 2)
    throw IoError(fmt::format("{}: expected a matrix (2 dimensions), found {} dimensions {}", source.label,
                              source.shape.size(), shape_text(source.shape)));
  if (source.shape[0] == 0 || source.shape[1] == 0)
    throw IoError(fmt::format("{}: expected at least one row and one column, found {}", source.label,
                              shape_text(source.shape)));
}

bool holds_float_rows(const MatrixSource& source) {
  const bool aligned = reinterpret_cast<uintptr_t>(source.data) % alignof(float) == 0;
  return source.type == ElementType::kFloat32 && !is_transposed(source) && aligned;
}

void check_float_rows(const MatrixSource& source, int64_t first, int64_t count) {
  const int64_t cols = source.shape[1];
  const ConstMatrixF rows(reinterpret_cast<const float*>(source.data) + first * cols, count, cols);
  if (!all_finite_parallel(rows.data, count * cols)) throw_first_non_finite(source, first, rows);
}

void read_rows(const MatrixSource& source, int64_t first, int64_t count, float* values) {
  const int64_t rows = source.shape[0], cols = source.shape[1];
  const bool finite = with_float_element(source.type, [&](auto element) {
    using Element = decltype(element);
    const int64_t skipped = is_transposed(source) ? first : first * cols;
    const char* from = source.data + skipped * kStoredBytes<Element>;
    return is_transposed(source) ? convert_transposed<Element>(from, rows, count, cols, values)
                                 : convert<Element>(from, count * cols, values);
  });
  if (!finite) {
    source.file->require_unchanged();
    throw_first_non_finite(source, first, {values, count, cols});
  }
}

void decode_row(const MatrixSource& source, int64_t row, const char* stored, float* values) {
  const int64_t cols = source.shape[1];
  with_float_element(source.type, [&](auto element) { decode<decltype(element)>(stored, cols, values); });
  if (all_finite(values, cols)) return;
  source.file->require_unchanged();
  const int64_t col =
      std::find_if_not(values, values + cols, [](float v) { return std::isfinite(v); }) - values;
  throw_not_finite(source, row, col, stored_value(source.type, stored, col));
}

HostMatrix to_host_matrix(const MatrixSource& source) {
  require_matrix(source);
  const int64_t rows = source.shape[0], cols = source.shape[1];
  if (holds_float_rows(source)) {
    const std::shared_ptr<const float> mapped(source.file, reinterpret_cast<const float*>(source.data));
    check_float_rows(source, 0, rows);
    source.file->require_unchanged();
    source.file->expect_random_access();
    return {mapped, rows, cols, source.file};
  }
  const std::shared_ptr<float> values = allocate(rows * cols, source.label);
  read_rows(source, 0, rows, values.get());
  source.file->require_unchanged();
  return {values, rows, cols};
}

}  // namespace sotalign::io
