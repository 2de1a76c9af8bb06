// The header of a safetensors file: its length in eight bytes, then JSON,
//   {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
// with offsets relative to the first byte after the JSON.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/host_matrix.h"
#include "io/mapped_file.h"
#include "sotalign/io/array.h"
#include "sotalign/io/safetensors.h"

namespace sotalign::io {

/// The largest header, in bytes, that the reference implementation reads.
constexpr size_t kMostSafetensorsHeader = 100'000'000;
/// Far beyond any model: only a file made to exhaust memory has more.
constexpr size_t kMostSafetensorsTensors = 100'000;
constexpr const char* kSafetensorsMetadata = "__metadata__";

struct TensorEntry {
  std::string dtype;  ///< as in the file
  ElementType type = ElementType::kOther;
  std::vector<int64_t> shape;
  size_t begin = 0, end = 0;  ///< bytes, relative to the data
};

struct SafetensorsHeader {
  std::vector<std::string> names;  ///< in the order of the data
  std::unordered_map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  size_t data_offset = 0;
};

/// Throws IoError for anything that the format does not allow.
SafetensorsHeader parse_safetensors_header(const MappedFile& file);

/// A tensor as a matrix. Throws as SafetensorsFile::read_matrix() does, but reads no values.
MatrixSource safetensors_matrix_source(const SafetensorsFile& file, const std::string& name);

/// "F32" for kFloat32, and so on, for the types that the writer writes.
const char* safetensors_dtype(ElementType type);

}  // namespace sotalign::io
