// One half-iteration of Sinkhorn in the log domain, with the maximum subtracted: safe from any start and for
// any epsilon. The fused step of sinkhorn_iteration.h does the bulk of the work; these two begin a solve,
// take over where the fused step cannot be trusted, and end it (symmetrisation).
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// u_i <- (1 - blend) u_i + blend (log a_i - LSE_j(K_ij / epsilon + v_j)); u_i = -inf where a_i = 0.
/// One exponential per entry and one read of K: the CPU's second pass over a row finds it in cache.
struct SinkhornRowUpdate {
  EntropicBatch problems;
  const SinkhornState* states =
      nullptr;                ///< [batch]: only active problems that use the log domain; null: all
  const double* v = nullptr;  ///< [batch, cols]
  double* u = nullptr;        ///< [batch, rows]
  double blend = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_row_update_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_row_update, SinkhornRowUpdate)

/// v_j <- log b_j - LSE_i(K_ij / epsilon + u_i); v_j = -inf where b_j = 0.
/// One exponential per entry. On the CPU two passes over K (column maxima, then sums), on CUDA one, which
/// brings the sums to each new maximum.
struct SinkhornColumnUpdate {
  EntropicBatch problems;
  const SinkhornState* states = nullptr;  ///< as above
  const double* u = nullptr;              ///< [batch, rows]
  double* v = nullptr;                    ///< [batch, cols]
  double factor = 1.0;                    ///< v is multiplied by it: to go on with epsilon divided by as much
  void* scratch = nullptr;                ///< sinkhorn_column_update_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_column_update, SinkhornColumnUpdate)

}  // namespace sotalign::kernels
