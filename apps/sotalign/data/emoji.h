// The data of the demo: 1911 emoji, embedded by an image encoder, and their names, embedded by a text
// encoder. See data/emoji/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign::app {

struct Emoji {
  HostMatrix images, texts;         ///< paired by row
  std::vector<std::string> glyphs;  ///< the emoji themselves, UTF-8
  std::vector<std::string> names;
};

/// The directory of the data: `given`, or else in the source tree or the installation of this program.
std::string find_emoji(const std::string& given);

Emoji read_emoji(const std::string& directory);

}  // namespace sotalign::app
