#include <fmt/format.h>

#include <limits>

#include "io/element.h"
#include "io/host_matrix.h"
#include "io/npy_header.h"
#include "io/text.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
template <class Stored>
std::vector<int64_t> widen(const std::string& path, const char* data, int64_t count) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const Stored value = io::load<Stored>(data, i);
    if constexpr (std::is_same_v<Stored, uint64_t>)
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        throw IoError(fmt::format("{}: entry {} is {}, expected at most 2^63 - 1", path, i, value));
    values[static_cast<size_t>(i)] = static_cast<int64_t>(value);
  }
  return values;
}
}  // namespace

NpyInfo inspect_npy(const std::string& path) { return io::parse_npy_header(io::MappedFile(path)).info; }

io::MatrixSource io::npy_matrix_source(std::shared_ptr<const MappedFile> file) {
  const NpyHeader header = parse_npy_header(*file);
  if (!is_float(header.info.type))
    throw IoError(fmt::format("{}: expected float16, float32 or float64, found {}", file->path(),
                              printable(header.info.descr)));
  return {.file = file,
          .label = file->path(),
          .data = file->data() + header.data_offset,
          .type = header.info.type,
          .order = header.info.fortran_order ? StorageOrder::kFortran : StorageOrder::kC,
          .shape = header.info.shape};
}

HostMatrix read_npy_matrix(const std::string& path) {
  return io::to_host_matrix(io::npy_matrix_source(std::make_shared<const io::MappedFile>(path)));
}

std::vector<int64_t> read_npy_integers(const std::string& path) {
  const io::MappedFile file(path);
  const io::NpyHeader header = io::parse_npy_header(file);
  const std::vector<int64_t>& shape = header.info.shape;
  const auto require_vector = [&] {
    if (shape.size() != 1 || shape[0] == 0)
      throw IoError(fmt::format("{}: expected one dimension with at least one entry, found {}", path,
                                io::shape_text(shape)));
  };
  const auto read = [&](auto zero) {
    require_vector();
    std::vector<int64_t> values = widen<decltype(zero)>(path, file.data() + header.data_offset, shape[0]);
    file.require_unchanged();
    return values;
  };
  switch (header.info.type) {
    case ElementType::kInt8:
      return read(int8_t{});
    case ElementType::kInt16:
      return read(int16_t{});
    case ElementType::kInt32:
      return read(int32_t{});
    case ElementType::kInt64:
      return read(int64_t{});
    case ElementType::kUint8:
      return read(uint8_t{});
    case ElementType::kUint16:
      return read(uint16_t{});
    case ElementType::kUint32:
      return read(uint32_t{});
    case ElementType::kUint64:
      return read(uint64_t{});
    default:
      throw IoError(
          fmt::format("{}: expected an integer type, found {}", path, io::printable(header.info.descr)));
  }
}

}  // namespace sotalign
