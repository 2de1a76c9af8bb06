// What the Sinkhorn and KLOT operations share: a batch of entropic optimal transport problems, and the state
// of each problem's solve, which lives on the device.
//
// Problems have one shape, or shapes of their own, which are then on the device, too. Vectors always lie
// [batch, rows] and [batch, cols] for the largest of them, and what is behind a problem's own is not read.
// Matrices lie where the layouts say, without padding: what is read and computed of them is what the problems
// have. How threads are mapped to columns follows from the widest problem. So on the CPU a problem's results
// are to the bit those that it has alone; on CUDA they are within rounding, and the same on every run.
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

/// One problem of a batch whose problems have shapes of their own.
struct ProblemLayout {
  int64_t rows = 0, cols = 0;       ///< >= 1
  const float* affinity = nullptr;  ///< K [rows, cols]
  int64_t row_stride = 0;           ///< elements from one row of K to the next
  int64_t density_bytes = 0;        ///< from the first problem's density to this one's (sinkhorn_scaling.h)
  int64_t chunks = 0, first_chunk = 0;  ///< of rows (problem_chunks.h), and how many problems before have
  int64_t partials = 0;                 ///< floats that chunks of problems before leave for each other
  bool operator==(const ProblemLayout&) const = default;
};

struct EntropicBatch {
  const float* affinity = nullptr;         ///< K [batch, rows, cols], or a strip of its rows
  int64_t batch = 1, rows = 0, cols = 0;   ///< of all problems, or the most that one has
  int64_t row_stride = 0;                  ///< elements from one row to the next
  int64_t problem_stride = 0;              ///< elements from one problem to the next
  const float* inverse_epsilon = nullptr;  ///< [batch], 1 / epsilon
  const double* log_a = nullptr;  ///< [batch, rows], log of the row weights; -inf where a weight is 0
  const double* log_b = nullptr;  ///< [batch, cols], log of the column weights
  int64_t strip_height = 0;  ///< rows of each strip, of which the last may have fewer; 0: one strip, all rows
  int64_t strip_begin = 0;   ///< first row of this strip. Several strips: batch is 1
  /// [batch], or null: all are of one shape. With layouts, `affinity`, strides and strips do not count.
  const ProblemLayout* layouts = nullptr;
  const int32_t* chunk_problems = nullptr;  ///< [chunks], the problem that a chunk belongs to
  int64_t chunks = 0, partials = 0;         ///< of all problems; 0: all are of one shape
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
