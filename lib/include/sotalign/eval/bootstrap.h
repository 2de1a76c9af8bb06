// How far recalls and mean reciprocal ranks would vary with other queries: the percentile bootstrap (Efron
// and Tibshirani, "An introduction to the bootstrap", 1993, chapters 6 and 13).
//
// The items are the ids: an image, its texts, and all their queries. They are drawn with replacement, as many
// as there are, and the figures of all drawn queries are computed again. An item is drawn as a whole, because
// the ranks of the captions of one image depend on each other, and so do the two directions. Without ids, an
// item is a pair. Ranks stay as they are: the gallery is not resampled, and the models are not trained again.
// The intervals therefore describe the choice of queries, for this gallery and these models, and nothing
// else.
#pragma once

#include <cstdint>

#include "sotalign/eval/retrieval.h"

namespace SOTALIGN_API sotalign {

/// The settings of bootstrap_intervals() and bootstrap_differences().
struct BootstrapOptions {
  /// At least 2 / (1 - level) - 1, so that both ends lie within the resampled figures.
  int64_t resamples = 1000;
  double level = 0.95;  ///< probability mass inside the interval, above 0, below 1
  /// Selects the draws. Draw j of resample r, of n items, is item floor(n u), where u in [0, 1) holds the
  /// upper 53 bits of 64-bit value n r + j of the random stream "bootstrap". Items are numbered in the order
  /// in which the images first name them.
  uint64_t seed = 0;
};

/// With B resamples and a = (1 - level) / 2: the kth smallest and the kth largest of the resampled figures,
/// where k = floor((B + 1) a).
struct Interval {
  double low = 0, high = 0;
};

/// One interval for each figure of RecallAtK, except the median.
struct RecallIntervals {
  Interval r1, r5, r10, mean_reciprocal_rank;
};

/// One interval for each figure of RetrievalResult. All come from the same resamples.
struct RetrievalIntervals {
  RecallIntervals image_to_text, text_to_image;
  Interval mean_r1, mean_reciprocal_rank;
  int64_t items = 0;  ///< ids, or pairs
};

/// The intervals of retrieval()'s figures, computed on the host. Throws InvalidArgument for
/// options out of range, and for ranks and ids that do not match.
/// @param ranks from retrieval_ranks()
/// @param measured the options that retrieval_ranks() had; only the ids matter
/// @param options see BootstrapOptions
RetrievalIntervals bootstrap_intervals(const RetrievalRanks& ranks, const RetrievalOptions& measured,
                                       const BootstrapOptions& options = {});

/// The intervals of the differences, ranks less other, where both have the same queries. The bootstrap is
/// paired: each resample draws the same items for both. If an interval lies above 0, or below, the difference
/// is more than the choice of queries explains. Throws as bootstrap_intervals().
RetrievalIntervals bootstrap_differences(const RetrievalRanks& ranks, const RetrievalRanks& other,
                                         const RetrievalOptions& measured,
                                         const BootstrapOptions& options = {});

}  // namespace sotalign
