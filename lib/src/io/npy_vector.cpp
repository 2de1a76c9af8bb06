#include "sotalign/io/npy_vector.h"

#include <fmt/format.h>

#include <cmath>

#include "io/element.h"
#include "io/npy_header.h"
#include "io/text.h"
#include "sotalign/core/error.h"

namespace sotalign {

std::vector<double> read_npy_vector(const std::string& path) {
  const io::MappedFile file(path);
  const auto [info, data_offset] = io::parse_npy_header(file);
  if (!io::is_float(info.type))
    throw IoError(
        fmt::format("{}: expected float16, float32 or float64, found {}", path, io::printable(info.descr)));
  const std::vector<int64_t>& shape = info.shape;
  const bool is_vector = shape.size() == 1 || (shape.size() == 2 && (shape[0] == 1 || shape[1] == 1));
  const int64_t count = is_vector ? shape[0] * (shape.size() == 2 ? shape[1] : 1) : 0;
  if (count == 0)
    throw IoError(fmt::format("{}: expected a vector with at least one entry, found shape {}", path,
                              io::shape_text(shape)));
  std::vector<double> values(static_cast<size_t>(count));
  io::with_float_element(info.type, [&, data = file.data() + data_offset](auto element) {
    using Element = decltype(element);
    for (int64_t i = 0; i < count; ++i) {
      const double value = Element::decode(io::load<typename Element::Stored>(data, i));
      if (!std::isfinite(value))
        throw IoError(fmt::format("{}: entry {} is {}, expected a finite number", path, i, value));
      values[static_cast<size_t>(i)] = value;
    }
  });
  file.require_unchanged();
  return values;
}

}  // namespace sotalign
