// Absorption for the scaling form (sinkhorn_scaling.h): folds scaling factors into the potentials and
// computes the density of the new potentials. A solve in this form runs
//   fold, log-domain updates, absorb     for problems that request it: in the first iteration and some others
//   scaling                              in every iteration
//   fold, all                            at the end
#pragma once

#include <cstddef>

#include "kernels/density.h"
#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// u_i += log s_i, v_j += log t_j, then s = t = 1, for problems for which wants_density() holds
/// (entropic_common.h), or for all. Touches only vectors.
struct SinkhornFold {
  EntropicBatch problems;  ///< the affinity is not read
  SinkhornState* states = nullptr;
  bool all = false;                                     ///< fold every problem, at the end of the solve
  bool refine = false;                                  ///< convert coarse densities to float
  float *row_scale = nullptr, *column_scale = nullptr;  ///< as in SinkhornScaling
  double* u = nullptr;                                  ///< [batch, rows]
  double* v = nullptr;                                  ///< [batch, cols]
};
SOTALIGN_DECLARE_OPERATION(sinkhorn_fold, SinkhornFold)

/// The density of problems for which wants_density() holds: E_ij = exp(K_ij / epsilon + u_i - log a_i + v_j),
/// exactly 0 below e^-86 and in rows and columns without mass; bfloat16 if the problem stays_coarse(),
/// otherwise float. One read of K, one exponential per entry, one write; then clears the state's requests.
/// Single precision rounds v_j inside the exponent: v_j becomes the rounded value, t_j takes the rounding
/// error, and s_i = 1.
struct SinkhornAbsorb {
  EntropicBatch problems;
  SinkhornState* states = nullptr;
  const double* u = nullptr;                            ///< [batch, rows]
  double* v = nullptr;                                  ///< [batch, cols]
  void* density = nullptr;                              ///< as in SinkhornScaling, written
  int64_t density_stride_bytes = 0;                     ///< room for float, unless every problem stays coarse
  float *row_scale = nullptr, *column_scale = nullptr;  ///< as in SinkhornScaling
  float *row_mass = nullptr, *column_mass = nullptr;    ///< outputs a_i and b_j for SinkhornScaling
  bool refine = false;                                  ///< as in SinkhornFold
  /// With sinkhorn_on_chip, CUDA only: a problem whose `next` has arrived here has its requests cleared but
  /// gets no density. 0: none has.
  int64_t iterations = 0;
  void* scratch = nullptr;  ///< sinkhorn_absorb_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_absorb, SinkhornAbsorb)

}  // namespace sotalign::kernels
