// A safetensors file taken apart, so that a mutator can change one thing and put the rest together again.
// Unlike the library's own reader and writer it can hold anything: duplicate names, shapes that are text,
// overlapping offsets.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/hostile.h"

namespace sotalign::fuzz {

struct Tensor {
  std::string name;
  Json dtype, shape;
  std::string bytes;
  std::optional<Json> offsets = std::nullopt;  ///< replace those that follow from the bytes
};

struct TensorFile {
  std::vector<std::pair<std::string, Json>> metadata;
  std::vector<Tensor> tensors;
  std::string padding;                                   ///< after the JSON, within the header
  std::string trailing;                                  ///< after the last tensor
  std::optional<uint64_t> header_length = std::nullopt;  ///< replaces the true one

  /// Null if there is none.
  Json* find_metadata(std::string_view key);
  Tensor* find(std::string_view name);
};

/// Returns nothing if the bytes are not such a file: too short, or not starting with a JSON object.
std::optional<TensorFile> take_apart(std::string_view file);
std::string put_together(const TensorFile& file);

/// Bytes per element; 0 for unknown types.
size_t element_size(const Json& dtype);
/// Truncates or extends the tensor's bytes to the size implied by type and shape, if that is below `most`.
void fit_bytes(Dice& dice, Tensor& tensor, size_t most);

}  // namespace sotalign::fuzz
