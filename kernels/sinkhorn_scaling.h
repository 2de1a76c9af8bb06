// One Sinkhorn iteration in the absorbed scaling form: ONE read of a stored density and NO exponential.
//
// sinkhorn_absorb.h computes the density E_ij = exp(K_ij / epsilon + u_i - log a_i + v_j) for potentials u
// and v such that its rows sum to about 1. From there, scaling factors s [rows] and t [cols] carry the solve:
//   row update     r_i = sum_j E_ij t_j,  s_i <- 1 / r_i
//   column update  t_j <- b_j / c_j,      c_j = sum_i a_i s_i E_ij
// The plan is P_ij = a_i s_i E_ij t_j; the potentials of the solve are u_i + log s_i and v_j + log t_j. One
// read of a row serves both sums while it is in cache (CUDA: in registers). r_i belongs to the state at
// entry, so that state's row marginal error, sum_i a_i |s_i r_i - 1|, costs nothing.
//
// If factors leave [e^-10, e^10], `absorb` requests a new density at the next opportunity; there is no hurry.
// If a sum is not trustworthy (entropic_common.h), the factors stay unchanged, `use_log_domain` is set, and
// the problem waits for the log-domain updates (sinkhorn_update.h) to run this iteration.
#pragma once

#include <cstddef>

#include "kernels/density.h"
#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// Runs the problems that are active, do not use the log domain, and store their density as `type`.
struct SinkhornScaling {
  EntropicBatch problems;  ///< the affinity is not read
  SinkhornState* states = nullptr;
  DensityType type = DensityType::kFloat;
  const void* density = nullptr;       ///< [rows, density_stride(cols, type)] for each problem
  int64_t density_stride_bytes = 0;    ///< from one problem's density to the next; common shape only
  const float* row_mass = nullptr;     ///< [batch, rows], a_i
  const float* column_mass = nullptr;  ///< [batch, cols], b_j
  /// [batch, 2, rows] and [batch, 2, density_stride(cols, kFloat)]: reads copy state.current and writes the
  /// other one. Factors past the last column are zero.
  float *row_scale = nullptr, *column_scale = nullptr;
  /// Tolerance of the convergence check on the error at entry; see conclude() in entropic_common.h. Negative:
  /// no check in this iteration.
  double tolerance = -1.0;
  /// In (0, 2): u_i += relaxation * (change of the plain update), the same for v. 1 is the plain update.
  double relaxation = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_scaling_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_scaling, SinkhornScaling)

/// Parallel mapping of an iteration. Depends on backend, type and shape, not on the device.
struct ScalingMapping {
  int reads = 1;            ///< passes over the density
  int64_t chunks = 1;       ///< of rows, each with its own column sums
  int rows_at_once = 1;     ///< CUDA: rows per barrier; CPU: rows of a group that stays in cache
  int threads = 0;          ///< CUDA: threads per block; CPU: 0, as one thread takes a chunk
  int columns = 0;          ///< CUDA: columns a thread keeps in registers
  int64_t ahead_bytes = 0;  ///< CUDA: bytes in flight to shared memory, per block
};
SOTALIGN_DECLARE_FUNCTION(ScalingMapping, sinkhorn_scaling_mapping, SinkhornScaling)

}  // namespace sotalign::kernels
