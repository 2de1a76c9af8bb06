// One Sinkhorn iteration, row update then column update, in ONE read of K and one exponential per entry.
//
// With e_ij = exp(K_ij / epsilon + u_i - log a_i + v_j) and r_i = sum_j e_ij:
//   row update     u_i <- u_i - log r_i
//   column update  v_j <- v_j + log b_j - log c_j,  c_j = sum_i (a_i / r_i) e_ij
// Both updates use the same exponentials up to the factor 1 / r_i, so one read of a row serves both while it
// is in cache (on CUDA in registers, up to 22,528 columns; wider matrices take two reads). No maximum is
// subtracted: after a column update sum_i P_ij = b_j, hence e_ij <= b_j / a_i. If this bound does not hold (a
// start from other potentials) or sums underflow, the operation detects it, leaves u and v unchanged and sets
// use_log_domain: the log-domain updates then run this iteration.
//
// r_i belongs to the state at entry, so sum_i a_i |r_i - 1| is that state's row marginal error, at no cost.
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
  /// Tolerance of the convergence check on the error at entry; see conclude() in entropic_common.h. Negative:
  /// no check in this iteration.
  double tolerance = -1.0;
  /// In (0, 2): u_i += relaxation * (change of the plain update), the same for v. 1 is the plain update.
  double relaxation = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_iteration_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_iteration, SinkhornIteration)

}  // namespace sotalign::kernels
