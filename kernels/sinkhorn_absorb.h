// What surrounds the iterations of the scaling form (sinkhorn_scaling.h): folding factors into potentials and
// making the density of these potentials. A solve in that form is
//   fold; log-domain updates; absorb     where a problem asks for it, at the first iteration and some others
//   scaling                              every iteration
//   fold, all                            at the end
#pragma once

#include <cstddef>

#include "kernels/density.h"
#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// u_i += log s_i, v_j += log t_j, then s = t = 1: of problems that wants_density() (entropic_common.h), or
/// of all. Only vectors are touched.
struct SinkhornFold {
  EntropicBatch problems;  ///< the affinity is not read
  SinkhornState* states = nullptr;
  bool all = false;                                     ///< the end of the solve
  bool refine = false;                                  ///< coarse problems are to become fine
  float *row_scale = nullptr, *column_scale = nullptr;  ///< as in SinkhornScaling
  double* u = nullptr;                                  ///< [batch, rows]
  double* v = nullptr;                                  ///< [batch, cols]
};
SOTALIGN_DECLARE_OPERATION(sinkhorn_fold, SinkhornFold)

/// The density of problems that wants_density(): E_ij = exp(K_ij / epsilon + u_i - log a_i + v_j), exactly 0
/// below e^-86 and in rows and columns without mass; bfloat16 if the problem stays_coarse(), else float. One
/// read, one exponential per entry, one write. Then the state's requests are cleared. Single precision rounds
/// v_j inside the exponent: t_j is set to what that has lost, v_j to the rounded value, s_i to 1.
struct SinkhornAbsorb {
  EntropicBatch problems;
  SinkhornState* states = nullptr;
  const double* u = nullptr;                            ///< [batch, rows]
  double* v = nullptr;                                  ///< [batch, cols]
  void* density = nullptr;                              ///< as in SinkhornScaling, written
  int64_t density_stride_bytes = 0;                     ///< room for float, unless every problem stays coarse
  float *row_scale = nullptr, *column_scale = nullptr;  ///< as in SinkhornScaling
  float *row_mass = nullptr, *column_mass = nullptr;    ///< a_i and b_j as SinkhornScaling reads them
  bool refine = false;                                  ///< as in SinkhornFold
  void* scratch = nullptr;                              ///< sinkhorn_absorb_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_absorb, SinkhornAbsorb)

}  // namespace sotalign::kernels
