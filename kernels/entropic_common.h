// What the CPU and the CUDA implementations of the Sinkhorn and KLOT operations have in common: where
// exponents are cut off, which sums are to be trusted, how rows are split into chunks, and how scratch memory
// is carved. Both backends take the same decisions from these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/entropic_batch.h"

namespace sotalign::kernels {

/// Exponents are clamped to this range. exp of the lower end is still a normal number; plans are exactly zero
/// below it. exp of the upper end is still finite.
inline constexpr float kLowestExponent = -86.0f, kHighestExponent = 88.0f;

/// The sums of the fused iteration are 1 at convergence. Entries below e^-86 are lost and float overflows
/// beyond e^88; between these bounds what is lost is below 1e-20 of a sum. A NaN is not to be trusted.
constexpr bool trustworthy(double sum) { return sum >= 1e-12 && sum <= 1e12; }

/// A weight as the scaling form holds it: 0 means none, so that a weight below what float holds is not 0.
constexpr float mass_of(double weight) {
  constexpr double kLeast = 1.2e-38;
  return static_cast<float>(weight > 0 && weight < kLeast ? kLeast : weight);
}

/// Factors of the scaling form beyond these bounds call for a new density.
constexpr bool drifted(float factor) { return !(factor >= 4.5e-5f && factor <= 2.2e4f); }  // e^-10, e^10

/// Every backend takes the decisions of an iteration here, from the row error of the state at entry and from
/// whether all its sums can be trusted (`rows_bad`: those of the row update, which make the error, cannot).
/// True: the new potentials are to be committed.
struct Iteration {
  double row_error = 0;
  bool rows_bad = false, columns_bad = false;
  double tolerance = -1.0;  ///< negative: no look at the error
};
/// So many looks in a row without a new least error end a solve: at the limit of its precision the error goes
/// up and down, however slowly it fell before.
inline constexpr int kPatience = 6;
/// A coarse density is as good as its plan is far from the true one: more than this is left to the fine one.
inline constexpr double kCoarseTolerance = 1e-4;

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

/// Whether sinkhorn_fold and sinkhorn_absorb have something to do for a problem; `refine`: coarse ones are to
/// become fine, asked or not. Only sinkhorn_absorb changes what this depends on, after both have read it.
constexpr bool wants_density(const SinkhornState& state, bool refine) {
  return state.active && (state.absorb || state.use_log_domain || state.coarse > (refine ? 0 : 1));
}
constexpr bool stays_coarse(const SinkhornState& state, bool refine) { return state.coarse == 1 && !refine; }

/// The rows of K that an operation finds in `affinity`.
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

/// What belongs to a problem of a batch of one shape or of several.
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
  return p.layouts == nullptr ? p.affinity + b * p.problem_stride : p.layouts[b].affinity;
}
/// Bytes from the first density of a batch; `stride_bytes` from one to the next where shapes are one.
constexpr int64_t density_offset(const EntropicBatch& p, int64_t b, int64_t stride_bytes) {
  return p.layouts == nullptr ? b * stride_bytes : p.layouts[b].density_bytes;
}
constexpr Strip strip_of(const EntropicBatch& p, int64_t b) {
  return p.layouts == nullptr ? strip_of(p) : Strip{0, p.layouts[b].rows, true, true};
}

/// Chunks of rows are numbered through a batch, in which problems of one shape have `uniform` each.
struct Chunk {
  int64_t problem, index, count;  ///< which one of how many of the problem's
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
/// What chunks leave for each other, `width` numbers each: how many in all, and where a problem's begin.
constexpr int64_t total_partials(const EntropicBatch& p, int64_t uniform, int64_t width) {
  return p.chunks > 0 ? p.partials : p.batch * uniform * width;
}
constexpr int64_t partials_of(const EntropicBatch& p, int64_t b, int64_t uniform, int64_t width) {
  return p.layouts == nullptr ? b * uniform * width : p.layouts[b].partials;
}

/// The first row of chunk `index` of `chunks`; the chunks differ by one row at most.
constexpr int64_t chunk_begin(int64_t rows, int64_t chunks, int64_t index) { return rows * index / chunks; }

/// Lays arrays out one after the other, each on a cache line of its own. With a null base it measures.
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
