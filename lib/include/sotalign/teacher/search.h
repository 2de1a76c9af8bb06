// Chooses the teacher's numbers by cross-validation on the pairs: fits a teacher for every candidate without
// some of the pairs, and lets it find the partner of each left-out row among the left-out rows.
//
//   TeacherSearch search = search_teacher(context, a, b, {.ridge = std::nullopt, .dim = std::nullopt});
//   Teacher teacher = fit_teacher(context, a, b, search.chosen);
#pragma once

#include <string>
#include <vector>

#include "sotalign/teacher/teacher.h"

namespace SOTALIGN_API sotalign {

/// A grid point of the search, with its scores in cross-validation.
struct TeacherCandidate {
  double ridge = 0;
  int64_t dim = 0;
  double correlation_power = 0;
  double mean_r1 = 0;               ///< over all left-out rows and both directions
  double mean_reciprocal_rank = 0;  ///< over the same
};

/// The outcome of search_teacher().
struct TeacherSearch {
  TeacherOptions chosen;                          ///< as given, with a number for everything
  std::vector<TeacherCandidate> candidates = {};  ///< in grid order; empty without a search
  int64_t folds = 0;                              ///< number of folds in which teachers were fitted
  int64_t left_out = 0;                           ///< pairs left out in these folds
  std::string reason = {};  ///< one line: the choice and its reason, or why there was none
};

/// Whether any number is left open.
bool is_open(const TeacherOptions& options);

/// Cross-validation needs at least this many groups of pairs (see search_teacher).
inline constexpr int64_t kFewestGroups = 10;

/// Chooses what `options` leaves open; pairs as fit_teacher() takes them.
///
/// Candidates: every combination of what is open. Ridge: nine values, each about three times the one before
/// (1, 3, 10 ...), up to the total variance of the pairs, the geometric mean of both sides, which is 1 for
/// preprocessed rows. So from 1e-4 to 1 there, and in proportion for rows of another scale. Dimensions:
/// powers of two from 16, and 0, which is all. Correlation power: 0, 0.5, 1.
///
/// Folds: pairs that share a row of a or of b, bit for bit, form a group, directly or through other pairs. A
/// group is never divided; otherwise a photograph with five captions would be left out and kept at the same
/// time. Pairs of a group count as matches of each other. The groups, in an order drawn from options.seed,
/// are divided into five folds. New orders are drawn until 500 pairs were left out; after 2000 left-out pairs
/// no further fold follows.
///
/// Decision: the highest MeanR@1, then the highest mean reciprocal rank, then more dimensions, the larger
/// ridge, the smaller power. Only left-out pairs are candidates for retrieval: the teacher was fitted to the
/// kept ones, and including them gave worse choices on flickr8k and emoji.
///
/// Cost of a fold: one decomposition for each modality; for each ridge the singular value decomposition of a
/// matrix [r, r], r <= min(p, d); for each dimension and power a product of left-out rows.
///
/// With fewer than kFewestGroups groups, or if the pairs do not vary without one of the folds, the open
/// numbers take the defaults of TeacherOptions. Throws InvalidArgument as fit_teacher() does.
TeacherSearch search_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign
