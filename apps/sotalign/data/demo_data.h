// The data of the demo, which comes with the program: words of WordNet and their definitions (data/words),
// emoji and their names (data/emoji). Each folder's README names sources and encoders.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign::app {

struct DemoData {
  HostMatrix images, texts;  ///< paired by row
  /// UTF-8: the words or emoji of the first side, the definitions or names of the second.
  std::vector<std::string> image_labels = {}, text_labels = {};
};

/// The folder that holds words and emoji: `given`, or else in the source tree or the installation of this
/// program.
std::string find_demo_data(const std::string& given);

DemoData read_words(const std::string& directory);
DemoData read_emoji(const std::string& directory);

}  // namespace sotalign::app
