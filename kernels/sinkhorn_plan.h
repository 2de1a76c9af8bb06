// Results read off the potentials: the plan, and the L1 errors of its marginals.
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// The plan of one problem of a ragged batch.
struct PlanLayout {
  float* plan = nullptr;   ///< [rows, cols]
  int64_t row_stride = 0;  ///< elements from one row to the next
  bool operator==(const PlanLayout&) const = default;
};

/// P_ij = exp(K_ij / epsilon + u_i + v_j), and exactly 0 in rows and columns of weight 0. One pass. Strips
/// may come in any order.
struct SinkhornPlan {
  EntropicBatch problems;
  const double* u = nullptr;  ///< [batch, rows]
  const double* v = nullptr;  ///< [batch, cols]
  float* plan = nullptr;      ///< of the strip, with the affinity's strides; may be the affinity
  /// [batch], for ragged batches. Each plan may overwrite its affinity.
  const PlanLayout* plans = nullptr;
  void* scratch = nullptr;  ///< sinkhorn_plan_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_plan, SinkhornPlan)

constexpr float* plan_of(const SinkhornPlan& args, int64_t b) {
  return args.plans == nullptr ? args.plan + b * args.problems.problem_stride : args.plans[b].plan;
}
constexpr int64_t plan_stride_of(const SinkhornPlan& args, int64_t b) {
  return args.plans == nullptr ? args.problems.row_stride : args.plans[b].row_stride;
}

/// Sets row_error and column_error of every state: the L1 marginal errors of P against a and b. One pass.
struct SinkhornMarginals {
  EntropicBatch problems;
  const double* u = nullptr;        ///< [batch, rows]
  const double* v = nullptr;        ///< [batch, cols]
  SinkhornState* states = nullptr;  ///< [batch]
  void* scratch = nullptr;          ///< sinkhorn_marginals_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_marginals, SinkhornMarginals)

}  // namespace sotalign::kernels
