// P Y of a pass: the plan P between the projected rows of a batch, times rows of the other side.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/ot/sinkhorn.h"
#include "sotalign/teacher/self_training.h"

namespace sotalign::detail {

/// Rows of each side that the report measures the plan and the change on.
inline constexpr int64_t kProbeRows = 256;

/// A contiguous matrix, on the host, row by row.
std::vector<float> on_host(Context& context, ConstMatrixF contiguous);

class PlanProduct {
 public:
  /// For n rows of one side and m of the other. Throws InvalidArgument for a form that streamed affinities do
  /// not have.
  PlanProduct(Context& context, int64_t n, int64_t m, const SelfTrainingOptions& options);

  /// Solves for the plan of the unit rows f [n, k] and g [m, k], and writes `moved` = P y [n, d]. Sets
  /// sinkhorn, transport and effective_matches of the report.
  void run(Context& context, ConstMatrixF f, ConstMatrixF g, ConstMatrixF y, MatrixF moved,
           PassReport& report);

 private:
  double epsilon_;
  int64_t strip_rows_;
  bool stored_;
  Sinkhorn sinkhorn_;
};

}  // namespace sotalign::detail
