// A safetensors file taken apart, so that a mutator can change one thing and put the rest together again.
// Unlike the library's own reader and writer it holds anything: names twice, shapes that are text, offsets
// that overlap.
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
  std::optional<Json> offsets = std::nullopt;  ///< in place of those that follow from the bytes
};

struct TensorFile {
  std::vector<std::pair<std::string, Json>> metadata;
  std::vector<Tensor> tensors;
  std::string padding;                                   ///< after the JSON, within the header
  std::string trailing;                                  ///< after the last tensor
  std::optional<uint64_t> header_length = std::nullopt;  ///< in place of the true one

  /// Null if there is none.
  Json* find_metadata(std::string_view key);
  Tensor* find(std::string_view name);
};

/// Nothing if the bytes are not such a file: too short, or no JSON object in front.
std::optional<TensorFile> take_apart(std::string_view file);
std::string put_together(const TensorFile& file);

/// Bytes of an element; 0 for what is no known type.
size_t element_size(const Json& dtype);
/// Cuts or fills the tensor's bytes to what type and shape ask for, if that is below `most`.
void fit_bytes(Dice& dice, Tensor& tensor, size_t most);

}  // namespace sotalign::fuzz
