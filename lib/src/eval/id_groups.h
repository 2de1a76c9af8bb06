// The rows of images and texts that share an id.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/eval/retrieval.h"

namespace sotalign {

/// The ids, renumbered 0 ... count - 1 in the order of the images, of the rows of each side.
struct IdGroups {
  int64_t count = 0;
  std::vector<int32_t> images, texts;
};

/// Without ids, row i of both sides is group i. Throws InvalidArgument, naming retrieval and the first row
/// without a match, unless every id occurs on both sides.
IdGroups number_ids(int64_t images, int64_t texts, const RetrievalOptions& options);

}  // namespace sotalign
