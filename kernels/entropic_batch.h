// Shared by the Sinkhorn and KLOT operations: a batch of entropic optimal transport problems, and the state
// of each problem's solve, which lives on the device.
//
// All problems of a batch have one common shape, or each has its own (a ragged batch), described by a
// ProblemLayout on the device. Vectors are always [batch, rows] and [batch, cols] with the sizes of the
// largest problem; entries past a problem's own size are not read. Matrices of a ragged batch have no
// padding: only a problem's own entries are read and computed. The widest problem decides how threads map to
// columns. On the CPU, batching does not change a single bit of a problem's result; on CUDA it may change the
// rounding, and results repeat on every run.
//
// Natural logarithms throughout. K is an affinity: log P_ij = K_ij / epsilon + u_i + v_j. Potentials are
// double: they are only vectors, so this costs nothing, and at small epsilon they reach several hundred,
// where the spacing of floats alone would move the plan by 1e-5.
//
// K need not be in memory as a whole. A caller may run an operation once per strip of rows, from the first
// strip to the last, with the same scratch memory, which carries partial results from strip to strip. Results
// for the whole matrix are complete after the last strip. Chunks of rows are laid out within a strip, so the
// height of the strips affects results, but only their rounding.
#pragma once

#include <cstdint>

namespace sotalign::kernels {

/// One problem of a ragged batch.
struct ProblemLayout {
  int64_t rows = 0, cols = 0;       ///< >= 1
  const float* affinity = nullptr;  ///< K [rows, cols]
  int64_t row_stride = 0;           ///< elements from one row of K to the next
  int64_t density_bytes = 0;        ///< offset of its density from the first problem's (sinkhorn_scaling.h)
  int64_t chunks = 0, first_chunk = 0;  ///< own chunks (problem_chunks.h), and those of all earlier problems
  int64_t partials = 0;                 ///< floats of partial sums of all earlier problems
  bool operator==(const ProblemLayout&) const = default;
};

struct EntropicBatch {
  const float* affinity = nullptr;         ///< K [batch, rows, cols], or a strip of its rows
  int64_t batch = 1, rows = 0, cols = 0;   ///< the common shape, or the largest sizes in the batch
  int64_t row_stride = 0;                  ///< elements from one row to the next
  int64_t problem_stride = 0;              ///< elements from one problem to the next
  const float* second_affinity = nullptr;  ///< K of problem 1 of two; null: problem_stride decides
  const float* inverse_epsilon = nullptr;  ///< [batch], 1 / epsilon
  const double* log_a = nullptr;  ///< [batch, rows], log of the row weights; -inf where a weight is 0
  const double* log_b = nullptr;  ///< [batch, cols], log of the column weights
  int64_t strip_height = 0;       ///< rows per strip, fewer in the last one; 0: a single strip
  int64_t strip_begin = 0;        ///< first row of this strip; with several strips, batch is 1
  /// [batch], or null for a common shape. With layouts, `affinity`, strides and strips are ignored.
  const ProblemLayout* layouts = nullptr;
  const int32_t* chunk_problems = nullptr;  ///< [chunks], the problem each chunk belongs to
  int64_t chunks = 0, partials = 0;         ///< over all problems; 0 for a common shape
};

struct SinkhornState {
  int32_t active = 1;          ///< 0 once converged or stalled; the operations of the loop then skip it
  int32_t use_log_domain = 1;  ///< 1: this iteration needs the log-domain updates (see sinkhorn_iteration.h)
  int32_t stalled = 0;         ///< 1: stopped because the error no longer fell
  int32_t looks_without_gain = 0;  ///< convergence checks since the best error
  int64_t iterations = 0;          ///< completed iterations
  double row_error = 0;            ///< sum_i |sum_j P_ij - a_i|, of the last state measured
  double column_error = 0;         ///< sum_j |sum_i P_ij - b_j|, set by sinkhorn_marginals only
  double best_error = -1;          ///< least row error of all convergence checks; negative: none yet
  // For the scaling form only (sinkhorn_scaling.h).
  int32_t absorb = 1;   ///< 1: requests a new density from sinkhorn_absorb
  int32_t coarse = 0;   ///< 1: density in bfloat16; 2: the same, and a float density is requested
  int32_t current = 0;  ///< which of the two copies of the scaling factors is valid
  int64_t next = 1;     ///< sinkhorn_on_chip only: the iteration to go on with
};

}  // namespace sotalign::kernels
