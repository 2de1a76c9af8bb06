// Cross-modal retrieval: at which rank does an image find its text, and a text its image?
//
// Scores are cosines. The rank of a query is 1 plus the number of wrong gallery rows that score at least as
// high as its best right one; the other right ones (an image may have several captions) are left out. So ties
// count against the model, and embeddings that have collapsed to a point get the worst rank, not the best. A
// tie is a difference of at most kRetrievalMargin: the products of equal rows may differ in their last bits
// when they come from different places of a matrix product. Scores that are NaN count against the model as
// well.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign {

inline constexpr float kRetrievalMargin = 1e-6f;

struct RetrievalOptions {
  /// An image and a text belong together if their ids are equal. Both empty: row i belongs to row i.
  /// Otherwise one id per row; every id must occur on both sides.
  std::vector<int64_t> image_ids = {};
  std::vector<int64_t> text_ids = {};
  /// Scores are computed in tiles of at most tile x tile. The result does not depend on it, but for a
  /// score that lies within rounding (1e-7) of the margin.
  int64_t tile = 2048;
};

/// The rank of every query, from 1.
struct RetrievalRanks {
  std::vector<int64_t> image_to_text;  ///< [images]
  std::vector<int64_t> text_to_image;  ///< [texts]
};

struct RecallAtK {
  double r1 = 0, r5 = 0, r10 = 0;  ///< fraction of the queries with a rank of at most 1, 5, 10
  double median_rank = 0;          ///< for an even number of queries the mean of the two in the middle
  int64_t queries = 0;
};

struct RetrievalResult {
  RecallAtK image_to_text;
  RecallAtK text_to_image;
  double mean_r1 = 0;  ///< of the two directions
};

/// Rows need not have unit length; unit copies of both matrices and one tile of scores are what it needs in
/// memory. Throws InvalidArgument for shapes and ids that do not fit, and names the first query without a
/// match.
/// @param images [n, d] @param texts [m, d]
RetrievalRanks retrieval_ranks(Context& context, ConstMatrixF images, ConstMatrixF texts,
                               const RetrievalOptions& options = {});

RecallAtK summarize_ranks(const std::vector<int64_t>& ranks);

RetrievalResult retrieval(Context& context, ConstMatrixF images, ConstMatrixF texts,
                          const RetrievalOptions& options = {});

}  // namespace sotalign
