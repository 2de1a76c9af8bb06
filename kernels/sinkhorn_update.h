// Sinkhorn half-iterations in the log domain, with the maximum subtracted: safe from any start and for any
// epsilon. The fused iteration (sinkhorn_iteration.h) does most of the work; these two start a solve, take
// over when its sums are not trustworthy, and end the solve (symmetrisation).
#pragma once

#include <cstddef>

#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// u_i <- (1 - blend) u_i + blend (log a_i - LSE_j(K_ij / epsilon + v_j)); u_i = -inf where a_i = 0.
/// One read of K and one exponential per entry; on the CPU the second pass over a row hits the cache.
struct SinkhornRowUpdate {
  EntropicBatch problems;
  const SinkhornState* states = nullptr;  ///< [batch]; updates active problems in the log domain; null: all
  const double* v = nullptr;              ///< [batch, cols]
  double* u = nullptr;                    ///< [batch, rows]
  double blend = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_row_update_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_row_update, SinkhornRowUpdate)

/// v_j <- log b_j - LSE_i(K_ij / epsilon + u_i); v_j = -inf where b_j = 0. One exponential per entry. The CPU
/// takes two passes over K (column maxima, then sums); CUDA takes one and rescales the sums at each new
/// maximum.
struct SinkhornColumnUpdate {
  EntropicBatch problems;
  const SinkhornState* states = nullptr;  ///< as in SinkhornRowUpdate
  const double* u = nullptr;              ///< [batch, rows]
  double* v = nullptr;                    ///< [batch, cols]
  double factor = 1.0;                    ///< multiplies v, to continue with epsilon / factor
  void* scratch = nullptr;                ///< sinkhorn_column_update_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_column_update, SinkhornColumnUpdate)

}  // namespace sotalign::kernels
