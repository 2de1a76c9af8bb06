// Log-sum-exp of rows and columns in ONE read of K. A warp takes a chunk of rows of kColumns * 32 columns,
// each lane kColumns of them, 32 apart, and kRows rows at a time. A column's maximum and the sum relative to
// it stay in the lane's registers down the chunk; the warp reduces a row's, so one set of shuffles serves 256
// entries. Every tile writes a maximum and a sum per row and column: for the rows a 128th of the bytes of K,
// for the columns, at 32 or more rows per chunk, a 16th. Two more kernels rescale those of a row or column to
// their largest maximum and add them, in a fixed order.
//
// A maximum is only a reference, so its rounding is harmless: the exponents are taken relative to the rounded
// maximum, and the large terms cancel inside the fused multiply-add.
#include "kernels/log_sum_exp.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWarps = 4;  // per block; they work independently
constexpr int kColumns = 8, kRows = 4;
constexpr int kWidth = kColumns * kWarpSize;

/// At least 32 rows per chunk; about 8000 warps are two waves on the largest devices.
struct Layout {
  int64_t chunks, across;
};
constexpr Layout layout_of(int64_t rows, int64_t cols) {
  const int64_t across = (cols + kWidth - 1) / kWidth;
  const int64_t chunks = (rows + 31) / 32, most = 8192 / across > 16 ? 8192 / across : 16;
  return {chunks < most ? chunks : most, across};
}

/// A maximum and the sum of exponentials relative to it.
struct Partial {
  float maximum, sum;
};
struct Scratch {
  Partial* rows;     // [rows, across]
  Partial* columns;  // [chunks, cols]
};
Scratch carve(Carver& carver, const LogSumExp& args) {
  const Layout layout = layout_of(args.rows, args.cols);
  Scratch s{};
  s.rows = carver.take<Partial>(args.rows * layout.across);
  s.columns = carver.take<Partial>(layout.chunks * args.cols);
  return s;
}

__global__ void __launch_bounds__(kWarps* kWarpSize) tiles_kernel(LogSumExp args, Scratch s, Layout layout) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t warp = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpSize;
  const int64_t chunk = warp / layout.across, across = warp % layout.across;
  if (chunk >= layout.chunks) return;  // the whole warp returns; there is no barrier
  const int64_t begin = chunk_begin(args.rows, layout.chunks, chunk),
                end = chunk_begin(args.rows, layout.chunks, chunk + 1);
  const int64_t first = across * kWidth + lane;
  const float c = args.c;
  float maxima[kColumns], sums[kColumns];
#pragma unroll
  for (int n = 0; n < kColumns; ++n) maxima[n] = kNoMaximum, sums[n] = 0;
  for (int64_t i = begin; i < end; i += kRows) {
    float x[kRows][kColumns];  // entries of K
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float* k = args.k + (i + r) * args.stride + first;
#pragma unroll
      for (int n = 0; n < kColumns; ++n)
        x[r][n] = i + r < end && first + n * kWarpSize < args.cols ? k[n * kWarpSize] : 0.0f;
    }
    // Out-of-range entries must neither raise a maximum nor add to a sum.
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
      float top = maxima[n];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        if (i + r < end) top = fmaxf(top, c * x[r][n]);
      float sum = sums[n] * exp_clamped(maxima[n] - top);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        if (i + r < end) sum += exp_clamped(fmaf(c, x[r][n], -top));
      maxima[n] = top, sums[n] = sum;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (i + r >= end) continue;  // the whole warp
      float top = kNoMaximum;
#pragma unroll
      for (int n = 0; n < kColumns; ++n)
        if (first + n * kWarpSize < args.cols) top = fmaxf(top, c * x[r][n]);
      top = warp_reduce(top, Maximum{});
      float sum = 0;
#pragma unroll
      for (int n = 0; n < kColumns; ++n)
        if (first + n * kWarpSize < args.cols) sum += exp_clamped(fmaf(c, x[r][n], -top));
      sum = warp_sum(sum);
      if (lane == 0) s.rows[(i + r) * layout.across + across] = {top, sum};
    }
  }
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
    if (first + n * kWarpSize < args.cols)
      s.columns[chunk * args.cols + first + n * kWarpSize] = {maxima[n], sums[n]};
}

__global__ void __launch_bounds__(kWarps* kWarpSize) rows_kernel(LogSumExp args, Scratch s, int64_t across) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpSize;
  if (i >= args.rows) return;  // the whole warp returns; there is no barrier
  const Partial* partial = s.rows + i * across;
  float maximum = kNoMaximum;
  for (int64_t t = lane; t < across; t += kWarpSize) maximum = fmaxf(maximum, partial[t].maximum);
  maximum = warp_reduce(maximum, Maximum{});
  double sum = 0;
  for (int64_t t = lane; t < across; t += kWarpSize)
    sum +=
        static_cast<double>(partial[t].sum) * static_cast<double>(exp_clamped(partial[t].maximum - maximum));
  sum = warp_sum(sum);
  if (lane == 0) args.row[i] = static_cast<double>(maximum) + log(sum);
}

__global__ void __launch_bounds__(kSumThreads) columns_kernel(LogSumExp args, Scratch s, int64_t chunks) {
  SOTALIGN_SHARED(float, maxima, [kGroups][kWarpSize]);
  SOTALIGN_SHARED(double, sums, [kGroups][kWarpSize]);
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kWarpSize + sum_column();
  const int64_t mine = j < args.cols ? chunks : 0;
  float maximum = kNoMaximum;
  for (int64_t chunk = sum_group(); chunk < mine; chunk += kGroups)
    maximum = fmaxf(maximum, s.columns[chunk * args.cols + j].maximum);
  maximum = combine_groups(maximum, maxima, Maximum{});
  double sum = 0;
  for (int64_t chunk = sum_group(); chunk < mine; chunk += kGroups) {
    const Partial partial = s.columns[chunk * args.cols + j];
    sum += static_cast<double>(partial.sum) * static_cast<double>(exp_clamped(partial.maximum - maximum));
  }
  sum = combine_groups(sum, sums, Plus{});
  if (sum_group() == 0 && j < args.cols) args.column[j] = static_cast<double>(maximum) + log(sum);
}

}  // namespace

size_t log_sum_exp_scratch(const Queue&, const LogSumExp& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void log_sum_exp(const Queue& queue, const LogSumExp& args) {
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  const Layout layout = layout_of(args.rows, args.cols);
  launch(queue, "log_sum_exp: tiles", tiles_kernel, blocks_for(layout.chunks * layout.across, kWarps),
         kWarps * kWarpSize, 0, args, s, layout);
  launch(queue, "log_sum_exp: rows", rows_kernel, blocks_for(args.rows, kWarps), kWarps * kWarpSize, 0, args,
         s, layout.across);
  launch(queue, "log_sum_exp: columns", columns_kernel, blocks_for(args.cols, kWarpSize), kSumThreads, 0,
         args, s, layout.chunks);
}

}  // namespace sotalign::kernels::cuda
