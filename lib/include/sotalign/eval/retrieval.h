// Cross-modal retrieval: the rank of an image's text among all texts, and of a text's image among all images.
//
// Scores are cosines, less a correction of the gallery row if the caller gives some (hubness.h). The rank of
// a query is 1 plus the number of wrong gallery rows that score at least as high as the best right one; other
// right rows (an image may have several captions) do not count. Ties count against the model, so that
// embeddings collapsed to a point get the worst rank, not the best. Scores that differ by at most
// kRetrievalMargin are ties, because a matrix product may round the scores of equal rows differently. NaN
// scores count against the model, too.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// Scores that differ by at most this are ties.
inline constexpr float kRetrievalMargin = 1e-6f;

/// The settings of retrieval().
struct RetrievalOptions {
  /// One id per row; an image and a text match if their ids are equal. Every id must occur on both sides. If
  /// both vectors are empty, row i matches row i.
  std::vector<int64_t> image_ids = {};
  std::vector<int64_t> text_ids = {};
  /// Scores are computed in tiles of at most tile x tile. The result does not depend on the tile, except
  /// where a score is within rounding (1e-7) of the margin.
  int64_t tile = 2048;
  /// Subtracted from the cosines of each image where images are the gallery (text to image): one per image,
  /// finite, or empty for none. A constant changes no rank. Differences are rounded to float32, so numbers
  /// far above 1 lose digits of the cosine.
  std::vector<float> image_corrections = {};
  /// The same for texts (image to text).
  std::vector<float> text_corrections = {};
};

/// The rank of every query, counted from 1.
struct RetrievalRanks {
  std::vector<int64_t> image_to_text;  ///< [images]
  std::vector<int64_t> text_to_image;  ///< [texts]
};

/// Recall and mean reciprocal rank over the queries of one direction.
struct RecallAtK {
  double r1 = 0, r5 = 0, r10 = 0;  ///< fraction of the queries with a rank of at most 1, 5, 10
  double median_rank = 0;          ///< the mean of the middle two if the number of queries is even
  int64_t queries = 0;
  double mean_reciprocal_rank = 0;  ///< mean of 1 / rank, in (0, 1]; summed in the order of the queries
};

/// Recall and mean reciprocal rank in both directions.
struct RetrievalResult {
  RecallAtK image_to_text;
  RecallAtK text_to_image;
  double mean_r1 = 0;               ///< mean of r1 over the two directions
  double mean_reciprocal_rank = 0;  ///< mean of mean_reciprocal_rank over the two directions
};

/// Computes the ranks. Rows need not have unit length. Allocates normalized copies of both matrices and one
/// tile of scores. Throws InvalidArgument for shapes, ids and corrections that do not match, and for
/// corrections that are not finite; the message names the first query without a match.
/// @param context owns the memory of both matrices
/// @param images [n, d]
/// @param texts [m, d]
/// @param options see RetrievalOptions
RetrievalRanks retrieval_ranks(Context& context, ConstMatrixF images, ConstMatrixF texts,
                               const RetrievalOptions& options = {});

/// Recall, median and mean reciprocal of ranks that count from 1. Throws InvalidArgument if `ranks` is empty
/// or holds a number below 1.
RecallAtK summarize_ranks(const std::vector<int64_t>& ranks);
/// The same for both directions.
RetrievalResult summarize_retrieval(const RetrievalRanks& ranks);

/// retrieval_ranks(), summarized for both directions.
RetrievalResult retrieval(Context& context, ConstMatrixF images, ConstMatrixF texts,
                          const RetrievalOptions& options = {});

}  // namespace sotalign
