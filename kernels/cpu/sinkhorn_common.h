// What the CPU files of the Sinkhorn and KLOT operations share: how rows are split among threads, and how
// potentials are handed to the single-precision row loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/entropic_batch.h"
#include "kernels/entropic_common.h"

namespace sotalign::kernels::cpu {

/// Rows are processed in chunks with column sums of their own, which are then added in a fixed order. The
/// number of chunks depends on the shape alone, so results do not depend on the number of threads. 64 rows or
/// more keep the traffic for the partial sums below 2 % of that for K; 64 chunks are enough for any CPU.
/// Strips may have as few as 64 rows and must still be enough for several threads: chunks of 8 rows, whose
/// sums stay in cache.
inline int64_t chunk_count(const EntropicBatch& p) {
  const int64_t height = strip_height(p);
  return std::clamp<int64_t>(height / (height < p.rows ? 8 : 64), 1, 64);
}

/// Rows whose exponentials are kept at the same time, so that the column sums are read and written once for
/// all of them. Four rows of 8192 columns fill 128 KiB; beyond that fewer, to stay within a core's L2 cache.
inline int rows_at_once(int64_t cols) { return cols <= 8192 ? 4 : cols <= 32768 ? 2 : 1; }

/// A row of the plan is P_ij = weight exp(c K_ij + offset + v_j). `offset` is what single precision holds of
/// u_i - log a_i, so that the exponentials of a row sum to about one; the weight is a_i and the rest of u_i.
struct RowPotential {
  float offset = 0;
  double weight = 0;  ///< 0: the row has no mass
};
inline RowPotential split(double u, double log_a) {
  if (std::isinf(log_a)) return {};
  const float offset = static_cast<float>(u - log_a);
  return {offset, std::exp(u - static_cast<double>(offset))};
}

/// The column potentials as the row loops see them: v_j less the returned shift, which belongs to the row
/// potentials instead (u_i + shift). Around zero, single precision loses the fewest digits of them.
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
