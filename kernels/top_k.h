// The k largest entries of each row of a matrix that arrives in tiles of columns, with an optional number
// subtracted from each column.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Merges a tile, columns [first_col, first_col + cols) of the whole matrix, into each row's k best entries
/// so far, sorted by descending value and, among equals, ascending column. Its entries are tile_ij -
/// corrections_j, in float. Tiles must arrive in ascending column order; before the first one the lists hold
/// -infinity and -1. NaN and -infinity never enter the lists.
struct TopK {
  const float* tile = nullptr;  ///< [rows, cols]
  int64_t tile_stride = 0;
  const float* corrections = nullptr;  ///< [cols], or null
  int64_t rows = 0, cols = 0;
  int64_t first_col = 0;
  int64_t k = 0;
  float* values = nullptr;     ///< [rows, k], contiguous
  int64_t* indices = nullptr;  ///< [rows, k], contiguous
};
SOTALIGN_DECLARE_OPERATION(top_k, TopK)

}  // namespace sotalign::kernels
