// One full Sinkhorn iteration, row update then column update, in ONE read of K and one exponential per entry.
//
// With e_ij = exp(K_ij / epsilon + u_i - log a_i + v_j) and r_i = sum_j e_ij:
//   row update     u_i <- u_i - log r_i
//   column update  v_j <- v_j + log b_j - log c_j,  c_j = sum_i (a_i / r_i) e_ij
// The exponentials of the row update are those of the column update up to the factor 1 / r_i, so a row that
// is still in cache serves both (on CUDA in registers, up to 22,528 columns; wider takes two reads). No
// maximum is subtracted: after a column update sum_i P_ij = b_j, hence e_ij <= b_j / a_i. Where that bound
// does not hold (a start from elsewhere), or sums underflow, the step notices, leaves u and v as they were
// and sets use_log_domain: the log-domain updates then do this iteration.
//
// r_i comes for the state at entry, so sum_i a_i |r_i - 1| is its row marginal error, at no cost.
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

struct SinkhornIteration {
  EntropicBatch problems;
  SinkhornState* states = nullptr;  ///< [batch]
  double* u = nullptr;              ///< [batch, rows]
  double* v = nullptr;              ///< [batch, cols]
  /// What an error at entry leads to: see conclude() in entropic_common.h. Negative: this iteration does not
  /// look.
  double tolerance = -1.0;
  /// u_i += relaxation * (what the update adds), and the same for v: in (0, 2), 1 the plain iteration.
  double relaxation = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_iteration_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_iteration, SinkhornIteration)

}  // namespace sotalign::kernels
