// Shared by the CPU and CUDA implementations of the Sinkhorn and KLOT operations: limits of exponents, which
// sums to trust, the convergence decision, the split of rows into chunks, and the carving of scratch memory.
// Both backends decide alike because they share this code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/entropic_batch.h"

namespace sotalign::kernels {

/// Exponents are clamped to this range: exp of the lower limit is still a normal float, exp of the upper
/// limit is still finite. Plan entries below the lower limit are exactly zero.
inline constexpr float kLowestExponent = -86.0f, kHighestExponent = 88.0f;

/// The sums of the fused iteration are 1 at convergence. Entries below e^-86 are lost, and float overflows
/// beyond e^88; a sum within these bounds has lost less than 1e-20 of itself. A NaN is not trustworthy.
constexpr bool trustworthy(double sum) { return sum >= 1e-12 && sum <= 1e12; }

/// A weight as the scaling form stores it. 0 means no mass, so positive weights below float's range are
/// raised to kLeast.
constexpr float mass_of(double weight) {
  constexpr double kLeast = 1.2e-38;
  return static_cast<float>(weight > 0 && weight < kLeast ? kLeast : weight);
}

/// True if a scaling factor has moved so far that the problem needs a new density.
constexpr bool drifted(float factor) { return !(factor >= 4.5e-5f && factor <= 2.2e4f); }  // e^-10, e^10

/// Result of one iteration, from which conclude() decides on every backend: the row error of the state at
/// entry, and whether any sum is not trustworthy. With `rows_bad` the row error is not either, as it is
/// computed from the row sums.
struct Iteration {
  double row_error = 0;
  bool rows_bad = false, columns_bad = false;
  double tolerance = -1.0;  ///< negative: no convergence check
};
/// A solve stops after this many convergence checks in a row without a new least error. At the limit of
/// precision the error goes up and down, however slowly it fell before.
inline constexpr int kPatience = 6;
/// A bfloat16 density is good enough while the marginal error exceeds this; tighter tolerances need a float
/// density.
inline constexpr double kCoarseTolerance = 1e-4;

/// Convergence decision after an iteration. Returns true if the caller must commit the new potentials.
constexpr bool conclude(SinkhornState& state, const Iteration& it) {
  state.row_error = it.row_error;
  if (it.tolerance >= 0 && !it.rows_bad) {
    const bool coarse = state.coarse == 1;
    const bool met =
        it.row_error <= (coarse && it.tolerance < kCoarseTolerance ? kCoarseTolerance : it.tolerance);
    const bool gained = state.best_error < 0 || it.row_error < state.best_error;
    if (gained) state.best_error = it.row_error;
    state.looks_without_gain = gained ? 0 : state.looks_without_gain + 1;
    const bool stuck = !met && state.looks_without_gain >= kPatience;
    if (coarse && (met || stuck)) {
      state.coarse = 2;
      state.best_error = -1;
      state.looks_without_gain = 0;
    } else if (state.coarse == 0 && (met || stuck)) {
      state.active = 0;
      state.stalled = stuck;
      return false;
    }
  }
  ++state.iterations;
  state.use_log_domain = it.rows_bad || it.columns_bad;
  return !state.use_log_domain;
}

/// True if sinkhorn_fold and sinkhorn_absorb have work for a problem. `refine` converts coarse densities to
/// float, requested or not. Only sinkhorn_absorb changes the fields read here, after both have read them.
constexpr bool wants_density(const SinkhornState& state, bool refine) {
  return state.active && (state.absorb || state.use_log_domain || state.coarse > (refine ? 0 : 1));
}
constexpr bool stays_coarse(const SinkhornState& state, bool refine) { return state.coarse == 1 && !refine; }

/// The rows of K that `affinity` holds in this call.
struct Strip {
  int64_t begin, rows;
  bool first, last;
};
constexpr int64_t strip_height(const EntropicBatch& p) {
  return p.strip_height > 0 && p.strip_height < p.rows ? p.strip_height : p.rows;
}
constexpr Strip strip_of(const EntropicBatch& p) {
  const int64_t height = strip_height(p), left = p.rows - p.strip_begin;
  return {p.strip_begin, left < height ? left : height, p.strip_begin == 0, left <= height};
}

/// Shape, stride and data of problem b, for a common shape or a ragged batch.
constexpr int64_t rows_of(const EntropicBatch& p, int64_t b) {
  return p.layouts == nullptr ? p.rows : p.layouts[b].rows;
}
constexpr int64_t cols_of(const EntropicBatch& p, int64_t b) {
  return p.layouts == nullptr ? p.cols : p.layouts[b].cols;
}
constexpr int64_t row_stride_of(const EntropicBatch& p, int64_t b) {
  return p.layouts == nullptr ? p.row_stride : p.layouts[b].row_stride;
}
constexpr const float* affinity_of(const EntropicBatch& p, int64_t b) {
  if (p.layouts != nullptr) return p.layouts[b].affinity;
  return b == 1 && p.second_affinity != nullptr ? p.second_affinity : p.affinity + b * p.problem_stride;
}
/// Byte offset of problem b's density; with a common shape, densities are `stride_bytes` apart.
constexpr int64_t density_offset(const EntropicBatch& p, int64_t b, int64_t stride_bytes) {
  return p.layouts == nullptr ? b * stride_bytes : p.layouts[b].density_bytes;
}
constexpr Strip strip_of(const EntropicBatch& p, int64_t b) {
  return p.layouts == nullptr ? strip_of(p) : Strip{0, p.layouts[b].rows, true, true};
}

/// Chunks of rows are numbered through the batch. With a common shape, each problem has `uniform` chunks.
struct Chunk {
  int64_t problem, index, count;  ///< chunk `index` of the problem's `count`
};
constexpr int64_t total_chunks(const EntropicBatch& p, int64_t uniform) {
  return p.chunks > 0 ? p.chunks : p.batch * uniform;
}
constexpr int64_t chunks_of(const EntropicBatch& p, int64_t b, int64_t uniform) {
  return p.layouts == nullptr ? uniform : p.layouts[b].chunks;
}
constexpr int64_t first_chunk_of(const EntropicBatch& p, int64_t b, int64_t uniform) {
  return p.layouts == nullptr ? b * uniform : p.layouts[b].first_chunk;
}
constexpr Chunk chunk_of(const EntropicBatch& p, int64_t number, int64_t uniform) {
  if (p.layouts == nullptr) return {number / uniform, number % uniform, uniform};
  const int64_t b = p.chunk_problems[number];
  return {b, number - p.layouts[b].first_chunk, p.layouts[b].chunks};
}
/// Partial results, `width` numbers per chunk: how many in total, and where those of problem b begin.
constexpr int64_t total_partials(const EntropicBatch& p, int64_t uniform, int64_t width) {
  return p.chunks > 0 ? p.partials : p.batch * uniform * width;
}
constexpr int64_t partials_of(const EntropicBatch& p, int64_t b, int64_t uniform, int64_t width) {
  return p.layouts == nullptr ? b * uniform * width : p.layouts[b].partials;
}

/// First row of chunk `index`; the sizes of chunks differ by at most one row.
constexpr int64_t chunk_begin(int64_t rows, int64_t chunks, int64_t index) { return rows * index / chunks; }

/// Carves arrays out of a block of memory, each on a cache line of its own. With a null base it only
/// measures.
class Carver {
 public:
  explicit Carver(void* base = nullptr) : base_(static_cast<char*>(base)) {}
  template <class T>
  T* take(int64_t count) {
    T* pointer = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return pointer;
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

}  // namespace sotalign::kernels
