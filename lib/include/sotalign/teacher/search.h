// Chooses a teacher's options by cross-validation on the pairs: fits each candidate to part of the pairs and
// measures retrieval among the pairs left out.
//
//   TeacherSearch search = search_teacher(context, a, b, {.ridge = std::nullopt, .dim = std::nullopt});
//   Teacher teacher = fit_teacher(context, a, b, search.chosen);
#pragma once

#include <string>
#include <vector>

#include "sotalign/teacher/teacher.h"

namespace SOTALIGN_API sotalign {

/// A grid point and its cross-validation scores.
struct TeacherCandidate {
  double ridge = 0;
  int64_t dim = 0;
  double correlation_power = 0;
  double mean_r1 = 0;               ///< over all left-out rows and both directions
  double mean_reciprocal_rank = 0;  ///< likewise
};

/// The outcome of search_teacher().
struct TeacherSearch {
  TeacherOptions chosen;                          ///< the given options, with a value for every open one
  std::vector<TeacherCandidate> candidates = {};  ///< in grid order; empty without a search
  int64_t folds = 0;                              ///< folds in which teachers were fitted
  int64_t left_out = 0;                           ///< pairs left out, summed over these folds
  std::string reason = {};                        ///< one line: why these options, or why there was no search
};

/// Whether any option is open (std::nullopt).
bool is_open(const TeacherOptions& options);

/// Cross-validation needs at least this many groups of pairs (see search_teacher).
inline constexpr int64_t kFewestGroups = 10;

/// Chooses the open options; takes pairs as fit_teacher() does.
///
/// Candidates: all combinations of the open options. Ridge: nine values, about a factor of three apart (1, 3,
/// 10 ...), up to the total variance of the pairs (the geometric mean of both sides). Preprocessed rows have
/// a total variance of about 1, which gives 1e-4 to 1; other scales shift the range in proportion.
/// Dimensions: powers of two from 16, and 0, which means all. Correlation power: 0, 0.5, 1.
///
/// Folds: pairs with bitwise equal rows in a or in b form a group, transitively. A group is never split: a
/// photograph with five captions would otherwise be both left out and kept. Pairs of a group count as matches
/// of each other. The groups are shuffled with options.seed and split into five folds, and reshuffled until
/// 500 pairs have been left out. No fold follows once 2000 pairs have been left out. Folds whose kept rows
/// are all equal on one side are skipped.
///
/// Decision: the highest mean reciprocal rank; ties go to the highest MeanR@1, then to more dimensions, the
/// larger ridge, the smaller power. The gallery holds only left-out pairs: the teacher was fitted to the kept
/// ones, and adding them led to worse choices on flickr8k and emoji.
///
/// Cost of a fold: one decomposition per modality; per ridge, the singular value decomposition of a matrix
/// [r, r], r <= min(p, d); per dimension and power, one product of left-out rows.
///
/// Open options take the defaults of TeacherOptions if there are fewer than kFewestGroups groups, or if all
/// folds are skipped. Throws InvalidArgument as fit_teacher() does.
TeacherSearch search_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign
