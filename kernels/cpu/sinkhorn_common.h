// Shared by the CPU files of the Sinkhorn and KLOT operations: the split of rows among threads, and
// potentials in the form that the single-precision row loops take.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/entropic_batch.h"
#include "kernels/entropic_common.h"

namespace sotalign::kernels::cpu {

/// Rows are processed in chunks, each with its own column sums, which are then added in a fixed order. The
/// number of chunks depends on the shape alone, so results do not depend on the number of threads. At 64 rows
/// or more per chunk, the traffic for the partial sums stays below 2 % of that for K; 64 chunks are enough
/// for any CPU. A strip may have as few as 64 rows and must still feed several threads: it takes chunks of 8
/// rows, whose sums stay in cache.
inline int64_t chunk_count(const EntropicBatch& p) {
  const int64_t height = strip_height(p);
  return std::clamp<int64_t>(height / (height < p.rows ? 8 : 64), 1, 64);
}

/// Rows whose exponentials are kept at the same time, so the column sums are read and written once for all of
/// them. Four rows of 8192 columns fill 128 KiB; wider matrices keep fewer, to stay within a core's L2.
inline int rows_at_once(int64_t cols) { return cols <= 8192 ? 4 : cols <= 32768 ? 2 : 1; }

/// A row of the plan is P_ij = weight exp(c K_ij + offset + v_j). `offset` is u_i - log a_i rounded to float,
/// so the exponentials of a row sum to about one; `weight` is a_i times exp of the rounding error.
struct RowPotential {
  float offset = 0;
  double weight = 0;  ///< 0: the row has no mass
};
inline RowPotential split(double u, double log_a) {
  if (std::isinf(log_a)) return {};
  const float offset = static_cast<float>(u - log_a);
  return {offset, std::exp(u - static_cast<double>(offset))};
}

/// Column potentials for the row loops: v_j minus the returned shift, which the caller adds to the row
/// potentials instead (u_i + shift). Around zero they lose the fewest digits in single precision.
inline double centre(const double* v, float* centred, int64_t count) {
  double sum = 0;
  int64_t finite = 0;
  for (int64_t j = 0; j < count; ++j)
    if (std::isfinite(v[j])) sum += v[j], ++finite;
  const double shift = finite > 0 ? sum / static_cast<double>(finite) : 0.0;
  for (int64_t j = 0; j < count; ++j) centred[j] = static_cast<float>(v[j] - shift);
  return shift;
}

}  // namespace sotalign::kernels::cpu
