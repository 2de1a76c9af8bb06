// Exact nearest neighbours by cosine.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
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

/// top_k() for a gallery that arrives in parts, so that it need not fit into memory. Memory does not depend
/// on the size of the gallery.
///
///   TopKSearch search(context, queries, 10);
///   for (...) search.add(part);
///   const TopKResult result = search.result();
class TopKSearch {
 public:
  /// Copies the queries, scaled to unit length. Throws InvalidArgument for k or tile below 1.
  /// @param context owns the memory of all matrices, and must outlive the search
  /// @param queries [n, d]
  /// @param k at least 1
  /// @param tile scores are computed in tiles of at most tile x tile
  TopKSearch(Context& context, ConstMatrixF queries, int64_t k, int64_t tile = TopKOptions{}.tile);

  /// Adds the next rows of the gallery; the first one has index 0. Lists are those of top_k() on all rows,
  /// and scores are the same to the bit if each part but the last has a multiple of `tile` rows. Throws
  /// InvalidArgument for another number of columns, and for corrections that do not match or are not finite.
  /// @param rows [m, d]
  /// @param corrections [m], or empty for none
  void add(ConstMatrixF rows, const std::vector<float>& corrections = {});

  /// The best of all rows so far. If there are fewer than k, lists end as those of top_k() do.
  TopKResult result() const;

 private:
  Context* context_;
  int64_t k_, tile_, rows_ = 0;
  Matrix<float> queries_;
  Buffer<float> values_;     // [queries, k], descending
  Buffer<int64_t> indices_;  // [queries, k]
};

}  // namespace sotalign
