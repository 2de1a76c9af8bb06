// The unpaired rows of each step as the teacher sees them.
#pragma once

#include <cstdint>

#include "sotalign/nn/row_set.h"
#include "sotalign/teacher/teacher.h"
#include "sotalign/train/objective.h"

namespace sotalign::detail {

/// The teacher is fixed. It projects a small set of rows once, and of a large set the rows of each step: all
/// projections would take more memory than a step.
class TeacherRows {
 public:
  /// Numbers in the projections of a set that is projected once: 256 MiB. Sizes alone decide, not the memory
  /// that is free, as bits depend on it.
  static constexpr int64_t kMostProjections = int64_t{1} << 26;

  /// The context must outlive it.
  /// @param batch rows of a step
  /// @param takes_all whether each step has all rows, in their order
  TeacherRows(Context& context, const Teacher& teacher, Side side, const RowSet& rows, int64_t batch,
              bool takes_all, int64_t most_projections = kMostProjections);

  /// Whether such an object projects all rows once.
  static bool projects_all(int64_t rows, int64_t dim, bool takes_all,
                           int64_t most_projections = kMostProjections) {
    return takes_all || rows <= most_projections / dim;
  }

  /// The projected unpaired rows of a step: unit rows [batch, teacher.dim()], in the memory of the context,
  /// valid until the next call. Queued, does not synchronize.
  /// @param teacher the one of the constructor
  ConstMatrixF project(const Teacher& teacher, const StepRows& rows);

 private:
  Context* context_;
  Side side_;
  Matrix<float> all_, batch_;  // no batch: each step has all rows; not all: each step is projected
};

}  // namespace sotalign::detail
