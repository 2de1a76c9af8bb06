// Exact nearest neighbours by cosine.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of top_k().
struct TopKOptions {
  /// Scores are computed in tiles of at most tile x tile.
  int64_t tile = 2048;
  /// Subtracted from the cosines of each gallery row (hubness.h): one per row, finite, or empty for none.
  std::vector<float> corrections = {};
};

/// The neighbours of every query, on the host.
struct TopKResult {
  int64_t k = 0;                 ///< neighbours per query
  std::vector<int64_t> indices;  ///< [queries, k], rows of the gallery, best first
  std::vector<float> scores;     ///< [queries, k], their cosines less corrections, descending
};

/// Finds the k gallery rows of highest score, cosine less correction, for every query; ties go to the lower
/// index. Rows need not have unit length. Scores are float32 products: a matrix product may round the scores
/// of equal rows differently, and the order follows the rounded scores. NaN scores are skipped; if fewer than
/// k others remain, the list ends with index -1 and score -infinity. Throws InvalidArgument for shapes or k
/// out of range, and for corrections that do not match or are not finite.
/// @param context owns the memory of both matrices
/// @param queries [n, d]
/// @param gallery [m, d]
/// @param k 1 ... m
/// @param options see TopKOptions
TopKResult top_k(Context& context, ConstMatrixF queries, ConstMatrixF gallery, int64_t k,
                 const TopKOptions& options = {});

}  // namespace sotalign
