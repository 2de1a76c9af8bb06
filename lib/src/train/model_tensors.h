// Reads the tensors of a model file. Errors name the file and the tensor.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/io/safetensors.h"
#include "train/finite.h"

namespace sotalign::detail {

/// Throws IoError unless tensor `name` has this shape; -1 matches any size > 0.
inline void check_shape(const SafetensorsFile& file, const std::string& path, const std::string& name,
                        const std::vector<int64_t>& shape) {
  if (!file.contains(name)) throw IoError(fmt::format("{}: expected a tensor '{}', found none", path, name));
  const std::vector<int64_t>& found = file.shape(name);
  bool fits = found.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == -1 ? found[i] > 0 : shape[i] == found[i];
  if (!fits)
    throw IoError(fmt::format("{}: tensor '{}': expected shape [{}], found [{}]", path, name,
                              fmt::join(shape, ", "), fmt::join(found, ", ")));
}

/// Throws IoError unless all values of tensor `name` are finite.
template <class T>
void check_finite(const std::string& path, const std::string& name, const std::vector<T>& values) {
  if (const auto bad = first_not_finite(values))
    throw IoError(
        fmt::format("{}: tensor '{}': entry {} is not finite, expected finite values", path, name, *bad));
}

/// A tensor of this shape with finite values.
inline std::vector<float> read_floats(const SafetensorsFile& file, const std::string& path,
                                      const std::string& name, const std::vector<int64_t>& shape) {
  check_shape(file, path, name, shape);
  std::vector<float> values = file.read_float(name);
  check_finite(path, name, values);
  return values;
}

/// The same in double precision.
inline std::vector<double> read_doubles(const SafetensorsFile& file, const std::string& path,
                                        const std::string& name, const std::vector<int64_t>& shape) {
  check_shape(file, path, name, shape);
  std::vector<double> values = file.read_double(name);
  check_finite(path, name, values);
  return values;
}

}  // namespace sotalign::detail
