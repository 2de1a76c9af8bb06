// What the Sinkhorn and KLOT operations share: a batch of entropic optimal transport problems of one shape,
// and the state of each problem's solve, which lives on the device.
//
// Conventions (natural logarithms throughout): K is an affinity, so log P_ij = K_ij / epsilon + u_i + v_j.
// Potentials are double. They are vectors, so that costs nothing, and at small epsilon they reach several
// hundred, where the spacing of float alone would move the plan by 1e-5.
//
// K need not be in memory as a whole. An operation may be called once for each strip of rows, from the first
// to the last, with the same scratch memory, in which it keeps what strips leave for each other; what it
// computes of the whole is there after the last strip. Chunks of rows are laid out within a strip, so results
// depend on the height of the strips, in rounding alone.
#pragma once

#include <cstdint>

namespace sotalign::kernels {

struct EntropicBatch {
  const float* affinity = nullptr;  ///< K [batch, rows, cols], or a strip of its rows
  int64_t batch = 1, rows = 0, cols = 0;
  int64_t row_stride = 0;                  ///< elements from one row to the next
  int64_t problem_stride = 0;              ///< elements from one problem to the next
  const float* inverse_epsilon = nullptr;  ///< [batch], 1 / epsilon
  const double* log_a = nullptr;  ///< [batch, rows], log of the row weights; -inf where a weight is 0
  const double* log_b = nullptr;  ///< [batch, cols], log of the column weights
  int64_t strip_height = 0;  ///< rows of each strip, of which the last may have fewer; 0: one strip, all rows
  int64_t strip_begin = 0;   ///< first row of this strip. Several strips: batch is 1
};

struct SinkhornState {
  int32_t active = 1;  ///< 0 once converged or stalled: every operation of the loop then leaves it alone
  int32_t use_log_domain = 1;  ///< 1: this iteration needs the log-domain updates (see sinkhorn_iteration.h)
  int32_t stalled = 0;         ///< 1: stopped, as the error no longer fell
  int32_t looks_without_gain = 0;  ///< since the best error
  int64_t iterations = 0;          ///< full iterations done
  double row_error = 0;            ///< sum_i |sum_j P_ij - a_i|, of the state last examined
  double column_error = 0;         ///< sum_j |sum_i P_ij - b_j|, set by sinkhorn_marginals only
  double best_error = -1;          ///< the least row error of all looks; negative: no look yet
  // Of the scaling form alone (sinkhorn_scaling.h).
  int32_t absorb = 1;   ///< 1: asks sinkhorn_absorb for a new density
  int32_t coarse = 0;   ///< 1: the density is stored in bfloat16; 2: so it is, and a fine one is asked for
  int32_t current = 0;  ///< which of the two copies of the scale factors is valid
};

}  // namespace sotalign::kernels
