// Exact nearest neighbours by cosine.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign {

struct TopKOptions {
  /// Scores are computed in tiles of at most tile x tile.
  int64_t tile = 2048;
};

struct TopKResult {
  int64_t k = 0;
  std::vector<int64_t> indices;  ///< [queries, k], rows of the gallery, best first
  std::vector<float> scores;     ///< [queries, k], their cosines, descending
};

/// For every query the k gallery rows of the highest cosine, the lower index first among equal scores. Rows
/// need not have unit length. Scores are float32 products: those of equal gallery rows may differ in their
/// last bits when they come from different places of a tile, and are then ordered accordingly. A NaN is no
/// neighbour: if fewer than k numbers are left, the list ends with index -1 and score -infinity.
/// @param queries [n, d] @param gallery [m, d] @param k 1 ... m
TopKResult top_k(Context& context, ConstMatrixF queries, ConstMatrixF gallery, int64_t k,
                 const TopKOptions& options = {});

}  // namespace sotalign
