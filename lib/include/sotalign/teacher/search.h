// The teacher's numbers by cross-validation on the pairs: for every candidate a teacher is fitted without a
// part of the pairs and asked to find each of these left-out rows' partner among the left-out ones.
//
//   TeacherSearch search = search_teacher(context, a, b, {.ridge = std::nullopt, .dim = std::nullopt});
//   Teacher teacher = fit_teacher(context, a, b, search.chosen);
#pragma once

#include <string>
#include <vector>

#include "sotalign/teacher/teacher.h"

namespace sotalign {

struct TeacherCandidate {
  double ridge = 0;
  int64_t dim = 0;
  double correlation_power = 0;
  double mean_r1 = 0;               ///< over all left-out rows and both directions
  double mean_reciprocal_rank = 0;  ///< over the same
};

struct TeacherSearch {
  TeacherOptions chosen;                          ///< as given, with a number for everything
  std::vector<TeacherCandidate> candidates = {};  ///< in the order of the grid; empty without a search
  int64_t folds = 0;                              ///< in which teachers were fitted
  int64_t left_out = 0;                           ///< pairs that were asked for in these
  std::string reason = {};                        ///< one line: what was chosen by what, or why nothing was
};

/// Whether a number is not given.
bool is_open(const TeacherOptions& options);

/// Fewer groups of pairs (see search_teacher) than this allow no cross-validation.
inline constexpr int64_t kFewestGroups = 10;

/// Chooses what `options` leaves open; pairs as fit_teacher() takes them.
///
/// Candidates: every combination of what is open. Ridge: nine values, each about three times the one before
/// (1, 3, 10 ...), up to the total variance of the pairs, the geometric mean of both sides, which is 1 for
/// preprocessed rows. So from 1e-4 to 1 there, and in proportion for rows of another scale. Dimensions:
/// powers of two from 16, and 0, which is all. Correlation power: 0, 0.5, 1.
///
/// Folds: pairs that share a row of a or of b, bit for bit, form a group, directly or through others, and a
/// group is never divided: a photograph with five captions would else be left out and kept at the same time.
/// Its pairs are matches of each other. The groups, in an order drawn from options.seed, are divided into
/// five folds, and drawn anew until 500 pairs have been left out; with many pairs no fold follows after 2000.
///
/// Decision: the highest MeanR@1, then the highest mean reciprocal rank, then more dimensions, the larger
/// ridge, the smaller power. Among the pairs that are left out alone: those kept are no wrong answers like
/// any other, since the teacher was fitted to them, and with them as well it chose worse on flickr8k and
/// emoji.
///
/// Cost: in a fold one decomposition for each modality, then for each ridge the singular value decomposition
/// of a matrix [r, r], r at most min(p, d), and for each dimension and power a product of left-out rows.
///
/// With fewer than kFewestGroups groups, or where without one fold the pairs do not vary at all, the defaults
/// of TeacherOptions stand for what is open. Throws InvalidArgument as fit_teacher() does.
TeacherSearch search_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign
