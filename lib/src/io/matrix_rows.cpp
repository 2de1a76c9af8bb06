#include "sotalign/io/matrix_rows.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "io/find_matrix.h"
#include "io/npy_header.h"
#include "sotalign/core/error.h"

namespace sotalign {

struct MatrixRows::Impl {
  io::MatrixSource source;

  static std::shared_ptr<const Impl> of(io::MatrixSource source) {
    io::require_matrix(source);
    return std::make_shared<const Impl>(Impl{std::move(source)});
  }
  bool by_rows() const { return source.order == io::StorageOrder::kC || source.shape[0] == 1; }
};

MatrixRows MatrixRows::open(const std::string& path) { return MatrixRows(Impl::of(io::find_matrix(path))); }

MatrixRows MatrixRows::open(int descriptor, const std::string& name) {
  return MatrixRows(
      Impl::of(io::npy_matrix_source(std::make_shared<const io::MappedFile>(descriptor, name))));
}

int64_t MatrixRows::rows() const { return impl_->source.shape[0]; }
int64_t MatrixRows::cols() const { return impl_->source.shape[1]; }
ElementType MatrixRows::type() const { return impl_->source.type; }
int64_t MatrixRows::row_bytes() const { return cols() * element_bytes(type()); }

void MatrixRows::check_range(int64_t first, int64_t count) const {
  if (first < 0 || count < 0 || count > rows() - first)
    throw InvalidArgument(fmt::format("{}: expected rows below {}, found {} from {} on", impl_->source.label,
                                      rows(), count, first));
}

ConstMatrixF MatrixRows::read(int64_t first, int64_t count, std::vector<float>& buffer) const {
  check_range(first, count);
  if (io::holds_float_rows(impl_->source)) {
    io::check_float_rows(impl_->source, first, count);
    return {reinterpret_cast<const float*>(impl_->source.data) + first * cols(), count, cols()};
  }
  const auto size = static_cast<size_t>(count * cols());
  if (buffer.size() < size) buffer.resize(size);
  io::read_rows(impl_->source, first, count, buffer.data());
  return {buffer.data(), count, cols()};
}

void MatrixRows::read_stored(int64_t row, void* bytes) const {
  check_range(row, 1);
  const io::MatrixSource& source = impl_->source;
  const int64_t element = element_bytes(source.type);
  if (impl_->by_rows()) {
    std::memcpy(bytes, source.data + row * row_bytes(), static_cast<size_t>(row_bytes()));
    return;
  }
  for (int64_t j = 0; j < cols(); ++j)
    std::memcpy(static_cast<char*>(bytes) + j * element, source.data + (j * rows() + row) * element,
                static_cast<size_t>(element));
}

bool MatrixRows::stored_by_rows() const { return impl_->by_rows(); }

void MatrixRows::gather(const int64_t* index, int64_t count, float* out) const {
  for (int64_t i = 0; i < count; ++i) check_range(index[i], 1);
  const io::MatrixSource& source = impl_->source;
  std::vector<char> stored(static_cast<size_t>(row_bytes()));
  if (impl_->by_rows()) {
    const auto begin = static_cast<size_t>(source.data - source.file->data());
    const auto offset = [&](int64_t i) { return begin + static_cast<size_t>(index[i]) * stored.size(); };
    for (int64_t i = 0; i < count; ++i) source.file->will_read(offset(i), stored.size());
    for (int64_t i = 0; i < count; ++i) {
      source.file->read(offset(i), stored.size(), stored.data());
      io::decode_row(source, index[i], stored.data(), out + i * cols());
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      read_stored(index[i], stored.data());
      io::decode_row(source, index[i], stored.data(), out + i * cols());
    }
  }
  require_unchanged();
}

void MatrixRows::release(int64_t first, int64_t count) const {
  check_range(first, count);
  if (impl_->by_rows())
    impl_->source.file->release(impl_->source.data + first * row_bytes(),
                                static_cast<size_t>(count * row_bytes()));
}

void MatrixRows::require_unchanged() const { impl_->source.file->require_unchanged(); }

}  // namespace sotalign
