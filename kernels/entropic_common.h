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
