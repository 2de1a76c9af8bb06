// The true pairs that the page of a run shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "data/captions.h"
#include "data/inputs.h"
#include "page/thumbnails.h"

namespace sotalign::app {

/// Validation pairs or, without any, training pairs: at most 2000 rows, evenly spaced. Made before training,
/// so that everything the page needs from files has been read and checked by then.
struct ShownPairs {
  bool validation = false;    ///< else training pairs
  int64_t total = 0;          ///< of which `rows` are shown
  std::vector<int64_t> rows;  ///< their numbers in the files
  HostMatrix images, texts;   ///< [rows.size(), ...], raw
  std::string images_name, texts_name;
  Captions captions;
  Thumbnails thumbnails;

  /// "all 400 validation pairs", "2000 of the 9000 training pairs"
  std::string describe() const;
};

/// Throws InvalidArgument for captions and thumbnails without validation pairs, for captions that do not
/// match the pairs and for a folder that does not exist, IoError for captions that are not UTF-8 and for
/// thumbnails that are too large.
ShownPairs choose_shown_pairs(const TrainConfig& config, const Dataset& data);

/// min(count, total) of the numbers below `total`, ascending, evenly spaced.
std::vector<int64_t> evenly_spaced(int64_t count, int64_t total);

}  // namespace sotalign::app
