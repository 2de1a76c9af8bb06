// Chooses between CCA and self-training, and how strong the ridge is, by the mean reciprocal rank of
// retrieval among pairs that no candidate was fitted to.
//
//   const TeacherRows rows{.pairs_x = a, .pairs_y = b, .unpaired_x = x, .unpaired_y = y,
//                          .validation_x = u, .validation_y = v};
//   ChosenTeacher chosen = choose_teacher(context, rows, options, self_training);
//   chosen.teacher.project(context, Side::kX, rows, projected);
#pragma once

#include <string>
#include <vector>

#include "sotalign/teacher/self_training.h"

namespace SOTALIGN_API sotalign {

/// Preprocessed rows in the context's memory.
struct TeacherRows {
  ConstMatrixF pairs_x, pairs_y;  ///< [p, dx], [p, dy], paired row by row
  RowSet unpaired_x, unpaired_y;  ///< [nx, dx], [ny, dy]; both empty: self-training is no candidate
  ConstMatrixF validation_x = {}, validation_y = {};  ///< [v, dx], [v, dy], paired row by row; may be empty
};

/// A candidate and its score.
struct TeacherTrial {
  TeacherKind kind = TeacherKind::kCca;  ///< kCca or kSelfTraining
  double ridge = 0;
  int64_t passes = 0;               ///< of self-training
  double mean_reciprocal_rank = 0;  ///< over both directions
};

/// What choose_teacher() chose, and why.
struct TeacherChoice {
  TeacherOptions options;                 ///< as given, with the kind and the ridge of the choice
  SelfTrainingOptions self_training;      ///< as given, with the passes of the choice
  std::vector<TeacherTrial> trials = {};  ///< in the order of their fits; empty if none was measured
  std::vector<PassReport> passes = {};    ///< what self-training did, if it was chosen
  std::string reason = {};                ///< one line
};

struct ChosenTeacher {
  Teacher teacher;  ///< fitted to all pairs
  TeacherChoice choice;
};

/// Self-training ends once this many passes in a row have not raised the score on the validation pairs.
inline constexpr int64_t kPatience = 4;
/// Passes of self-training in cross-validation.
inline constexpr int64_t kFoldPasses = 6;

/// Chooses. `options` has no open values; its kind is ignored.
///
/// With validation pairs: fits CCA with the given ridge, 0.3 and 0.1 of it; then self-training with the best
/// of these ridges and 0.3 of it, measured after every pass. Ties go to the earlier candidate. Retrieval
/// among a few hundred validation pairs tells candidates apart that differ by a few points.
///
/// Without: three-fold cross-validation on the pairs compares CCA with kFoldPasses passes of self-training,
/// both with the given ridge. Pairs with equal rows share a fold, as in search_teacher(). The winner is
/// fitted to all pairs, with all passes. With fewer than kFewestGroups groups the choice is CCA.
///
/// Throws as fit_teacher() and SelfTraining do. A candidate whose self-training diverges is left out.
ChosenTeacher choose_teacher(Context& context, const TeacherRows& rows, const TeacherOptions& options,
                             const SelfTrainingOptions& self_training);

}  // namespace sotalign
