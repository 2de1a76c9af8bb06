// One warp per row of up to 512 columns, one block per wider row. A thread owns every 32nd (256th) column and
// keeps its entries in registers between the sum and the result, so rows of up to 4096 columns are read once;
// the rest of a wider row is read again, from cache. The mapping depends on the width alone, so a row gives
// the same bits in every batch. Sums are in double.
#include "kernels/normalize_rows.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

/// kRowThreads threads share a row; each keeps kKept of its entries in registers.
template <int kRowThreads_, int kKept_>
struct Mapping {
  static constexpr int kRowThreads = kRowThreads_, kKept = kKept_;
  static constexpr int kRowsPerBlock = kThreads / kRowThreads;
  static_assert(kRowThreads == kWarpSize || kRowThreads == kThreads);

  static __device__ int64_t row() {
    return int64_t{blockIdx.x} * kRowsPerBlock + static_cast<int>(threadIdx.x) / kRowThreads;
  }
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % kRowThreads; }
  /// All threads of the row get the sum. Has barriers only if a whole block shares the row.
  static __device__ double sum(double value) {
    if constexpr (kRowThreads == kWarpSize) return warp_sum(value);
    SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
    return block_sum(value, scratch);
  }
  /// Loads the entries that the thread keeps; zeros past the end of the row.
  static __device__ void load(const float* x, int64_t cols, float (&kept)[kKept]) {
#pragma unroll
    for (int e = 0; e < kKept; ++e) {
      const int j = lane() + e * kRowThreads;
      kept[e] = j < cols ? x[j] : 0.0f;
    }
  }
};

__device__ __forceinline__ double product(float a, float b) {
  return static_cast<double>(a) * static_cast<double>(b);
}

template <class M>
__global__ void __launch_bounds__(kThreads) normalize_rows_kernel(NormalizeRows args) {
  const int64_t i = M::row();
  if (i >= args.rows) return;  // the whole warp returns; a block per row never does
  const float* x = args.x + i * args.x_stride;
  float* y = args.y + i * args.y_stride;
  constexpr int kRowThreads = M::kRowThreads, kKept = M::kKept;

  float kept[kKept];
  M::load(x, args.cols, kept);
  double square = 0;
#pragma unroll
  for (int e = 0; e < kKept; ++e) square += product(kept[e], kept[e]);
  for (int64_t j = M::lane() + kKept * kRowThreads; j < args.cols; j += kRowThreads)
    square += product(x[j], x[j]);
  const double norm = sqrt(M::sum(square));

  const float scale = norm >= kShortestRow ? static_cast<float>(1.0 / norm) : 0.0f;
#pragma unroll
  for (int e = 0; e < kKept; ++e) {
    const int j = M::lane() + e * kRowThreads;
    if (j < args.cols) y[j] = kept[e] * scale;
  }
  for (int64_t j = M::lane() + kKept * kRowThreads; j < args.cols; j += kRowThreads) y[j] = x[j] * scale;
  if (M::lane() == 0 && args.norms != nullptr)
    args.norms[i] = norm < kShortestRow ? 0.0f : static_cast<float>(norm);
}

template <class M>
__global__ void __launch_bounds__(kThreads) normalize_rows_backward_kernel(NormalizeRowsBackward args) {
  const int64_t i = M::row();
  if (i >= args.rows) return;  // the whole warp returns; a block per row never does
  const float* y = args.y + i * args.y_stride;
  const float* dy = args.dy + i * args.dy_stride;
  float* dx = args.dx + i * args.dx_stride;
  constexpr int kRowThreads = M::kRowThreads, kKept = M::kKept;

  float kept_y[kKept], kept_dy[kKept];
  M::load(y, args.cols, kept_y);
  M::load(dy, args.cols, kept_dy);
  double sum = 0;
#pragma unroll
  for (int e = 0; e < kKept; ++e) sum += product(kept_y[e], kept_dy[e]);
  for (int64_t j = M::lane() + kKept * kRowThreads; j < args.cols; j += kRowThreads)
    sum += product(y[j], dy[j]);
  const float inner = static_cast<float>(M::sum(sum));

  const float norm = args.norms[i], scale = norm > 0 ? 1.0f / norm : 0.0f;
#pragma unroll
  for (int e = 0; e < kKept; ++e) {
    const int j = M::lane() + e * kRowThreads;
    if (j < args.cols) dx[j] = (kept_dy[e] - kept_y[e] * inner) * scale;
  }
  for (int64_t j = M::lane() + kKept * kRowThreads; j < args.cols; j += kRowThreads)
    dx[j] = (dy[j] - y[j] * inner) * scale;
}

/// Calls launch_with(mapping) with the mapping for rows of this width.
template <class Launch>
void choose_mapping(int64_t cols, const Launch& launch_with) {
  if (cols <= 4 * kWarpSize) return launch_with(Mapping<kWarpSize, 4>{});
  if (cols <= 16 * kWarpSize) return launch_with(Mapping<kWarpSize, 16>{});
  return launch_with(Mapping<kThreads, 16>{});
}

}  // namespace

void normalize_rows(const Queue& queue, const NormalizeRows& args) {
  choose_mapping(args.cols, [&](auto mapping) {
    using M = decltype(mapping);
    launch(queue, "normalize_rows", normalize_rows_kernel<M>, blocks_for(args.rows, M::kRowsPerBlock),
           kThreads, 0, args);
  });
}

void normalize_rows_backward(const Queue& queue, const NormalizeRowsBackward& args) {
  choose_mapping(args.cols, [&](auto mapping) {
    using M = decltype(mapping);
    launch(queue, "normalize_rows_backward", normalize_rows_backward_kernel<M>,
           blocks_for(args.rows, M::kRowsPerBlock), kThreads, 0, args);
  });
}

}  // namespace sotalign::kernels::cuda
