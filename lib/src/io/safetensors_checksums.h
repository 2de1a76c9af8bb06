// The optional checksums of a safetensors file, JSON in the metadata entry "checksums":
//   {"header": "HEX", "tensors": {"name": "HEX", ...}}
// "header" covers the names, types and shapes of all tensors in the order of their data, and all other
// metadata.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sotalign/io/checksum.h"

namespace sotalign::io {

constexpr const char* kChecksumsKey = "checksums";

/// The reader and the writer feed the same header to this class and get the same checksum.
class HeaderChecksum {
 public:
  explicit HeaderChecksum(const std::map<std::string, std::string>& metadata) {
    for (const auto& [key, value] : metadata) {
      if (key == kChecksumsKey) continue;
      sum_.add_text(key);
      sum_.add_text(value);
    }
  }
  void add_tensor(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape) {
    sum_.add_text(name);
    sum_.add_text(dtype);
    const int64_t dimensions = static_cast<int64_t>(shape.size());
    sum_.add(&dimensions, sizeof dimensions);
    sum_.add(shape.data(), shape.size() * sizeof(int64_t));
  }
  std::string hex() const { return sum_.hex(); }

 private:
  Checksum sum_;
};

}  // namespace sotalign::io
