// The data of the demonstration: 1911 emoji as an image encoder sees them, and their names as a text encoder
// does. See data/emoji/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign::app {

struct Emoji {
  HostMatrix images, texts;         ///< row i belongs to row i
  std::vector<std::string> glyphs;  ///< the emoji themselves, UTF-8
  std::vector<std::string> names;
};

/// Where the data lies: `given`, or else the source tree or the installation that this program belongs to.
std::string find_emoji(const std::string& given);

Emoji read_emoji(const std::string& directory);

}  // namespace sotalign::app
