#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"
#include "sotalign/io/npy.h"

namespace sotalign {

namespace {

/// Format version 1. As in NumPy, padding makes the data start at a multiple of 64 bytes, so that it can be
/// mapped.
std::string header_for(const std::string& descr, const std::string& shape) {
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  constexpr size_t kPrefix = 10, kAlignment = 64;
  const size_t unpadded = kPrefix + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

template <class T>
void write_matrix(const std::string& path, const char* descr, MatrixView<const T> matrix) {
  if (matrix.rows < 0 || matrix.cols < 0 || (matrix.rows > 1 && matrix.stride < matrix.cols))
    throw InvalidArgument(fmt::format("{}: cannot write a matrix [{}, {}] with stride {}", path, matrix.rows,
                                      matrix.cols, matrix.stride));
  AtomicFile file(path);
  const std::string header = header_for(descr, fmt::format("{}, {}", matrix.rows, matrix.cols));
  file.write(header.data(), header.size());
  const size_t row_bytes = static_cast<size_t>(matrix.cols) * sizeof(T);
  if (matrix.contiguous()) {
    file.write(matrix.data, row_bytes * static_cast<size_t>(matrix.rows));
  } else {
    for (int64_t i = 0; i < matrix.rows; ++i) file.write(matrix.row(i), row_bytes);
  }
  file.commit();
}

template <class T>
void write_vector(const std::string& path, const char* descr, const std::vector<T>& values) {
  AtomicFile file(path);
  const std::string header = header_for(descr, fmt::format("{},", values.size()));
  file.write(header.data(), header.size());
  file.write(values.data(), values.size() * sizeof(T));
  file.commit();
}

}  // namespace

std::string npy_header(ElementType type, const std::vector<int64_t>& shape) {
  const std::string name = to_string(type);  // "uint16"
  const int64_t bytes = element_bytes(type);
  if (type == ElementType::kBfloat16 || bytes == 0)
    throw InvalidArgument(fmt::format("npy: expected a type of the format, found {}", name));
  const char order = bytes == 1 ? '|' : '<';
  // A tuple of one has a comma at its end.
  return header_for(
      fmt::format("{}{}{}", order, name.front(), bytes),
      shape.size() == 1 ? fmt::format("{},", shape[0]) : fmt::format("{}", fmt::join(shape, ", ")));
}

void write_npy(const std::string& path, ConstMatrixF matrix) { write_matrix(path, "<f4", matrix); }
void write_npy(const std::string& path, ConstMatrixD matrix) { write_matrix(path, "<f8", matrix); }

void write_npy(const std::string& path, const std::vector<float>& values) {
  write_vector(path, "<f4", values);
}
void write_npy(const std::string& path, const std::vector<int64_t>& values) {
  write_vector(path, "<i8", values);
}

}  // namespace sotalign
