// A .npy file taken apart, to be changed and put together again. The header's entries are text, so that they
// can hold anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/dice.h"

namespace sotalign::fuzz {

struct NpyFile {
  uint8_t major = 1, minor = 0;
  std::vector<std::pair<std::string, std::string>> entries;  ///< key and value, as written
  std::string data;
  std::string after;                                     ///< after the dictionary, within the header
  std::optional<uint32_t> header_length = std::nullopt;  ///< replaces the true one
};

std::optional<NpyFile> take_npy_apart(std::string_view file);
std::string put_together(const NpyFile& file);
/// Changes one thing; the data is usually made to fit the header afterwards.
void mutate_npy(Dice& dice, NpyFile& file, size_t most);

}  // namespace sotalign::fuzz
