// One full Sinkhorn iteration in the absorbed scaling form: ONE read of a stored density and NO exponential.
//
// The density E_ij = exp(K_ij / epsilon + u_i - log a_i + v_j) is made by sinkhorn_absorb.h for potentials u
// and v such that its rows sum to about 1. Factors s [rows] and t [cols] carry the solve on from there:
//   row update     r_i = sum_j E_ij t_j,  s_i <- 1 / r_i
//   column update  t_j <- b_j / c_j,      c_j = sum_i a_i s_i E_ij
// The plan is P_ij = a_i s_i E_ij t_j: the solve's potentials are u_i + log s_i and v_j + log t_j. A row that
// is still in cache (CUDA: in registers) serves both sums. r_i comes for the state at entry, so its row
// marginal error, sum_i a_i |s_i r_i - 1|, costs nothing.
//
// Where factors leave [e^-10, e^10], `absorb` asks for a new density when one is next made; there is no
// hurry. Where a sum is not to be trusted (entropic_common.h), factors stay as they were, `use_log_domain` is
// set, and the problem waits for the log-domain updates (sinkhorn_update.h) to do this iteration.
#pragma once

#include <cstddef>

#include "kernels/density.h"
#include "kernels/entropic_batch.h"
#include "kernels/queue.h"

namespace sotalign::kernels {

/// Works on problems that are active, do not use the log domain, and whose density is of this `type`.
struct SinkhornScaling {
  EntropicBatch problems;  ///< the affinity is not read
  SinkhornState* states = nullptr;
  DensityType type = DensityType::kFloat;
  const void* density = nullptr;       ///< [rows, density_stride(cols, type)] for each problem
  int64_t density_stride_bytes = 0;    ///< from one problem's to the next
  const float* row_mass = nullptr;     ///< [batch, rows], a_i
  const float* column_mass = nullptr;  ///< [batch, cols], b_j
  /// [batch, 2, rows] and [batch, 2, density_stride(cols, kFloat)]: the copy state.current is read, the other
  /// one written. Factors beyond the last column are zero.
  float *row_scale = nullptr, *column_scale = nullptr;
  /// What an error at entry leads to: see conclude() in entropic_common.h. Negative: this iteration does not
  /// look.
  double tolerance = -1.0;
  /// u_i += relaxation * (what the update adds), and the same for v: in (0, 2), 1 the plain iteration.
  double relaxation = 1.0;
  void* scratch = nullptr;  ///< sinkhorn_scaling_scratch() bytes
};
/// Whether a solve offers the log-domain updates and sinkhorn_absorb after this iteration. On CUDA they are
/// launches that nearly always find nothing to do and would outweigh the iteration of a small problem. What
/// an iteration moves the potentials by never grows; where it is so much that single precision cannot hold
/// the factors, that shows early. A problem that needs the updates later waits, and does fewer iterations.
constexpr bool offers_recovery(Backend backend, int64_t iteration) {
  return backend == Backend::kCpu || iteration < 32 || iteration % 4 == 0;
}

SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_scaling, SinkhornScaling)

/// How an iteration is mapped to the machine; depends on backend, type and shape, not on the device.
struct ScalingMapping {
  int reads = 1;            ///< of the density
  int64_t chunks = 1;       ///< of rows, with column sums of their own
  int rows_at_once = 1;     ///< between two meetings of the threads; CPU: of a group that stays in cache
  int threads = 0;          ///< CUDA: of a block; 0 on the CPU, where a thread takes a chunk
  int columns = 0;          ///< CUDA: that a thread keeps in registers
  int64_t ahead_bytes = 0;  ///< CUDA: on their way to shared memory for each block
};
SOTALIGN_DECLARE_FUNCTION(ScalingMapping, sinkhorn_scaling_mapping, SinkhornScaling)

}  // namespace sotalign::kernels
