// Log-domain half-iterations in ONE read of K and little more than one exponential per entry. Each thread
// keeps its own maximum and the sum relative to it; it loads eight entries at a time and rescales the sum
// once for all of them. The threads' sums are then rescaled to the largest maximum and added. A maximum is
// only a reference, so its rounding is harmless: the exponents are taken relative to the rounded maximum, and
// the large terms cancel inside the fused multiply-add.
//
// Rows: one warp per row (row_sum.h). Columns: tiles (entropic.h); a second kernel combines their chunks and
// earlier strips. A problem that needs no update costs blocks that return at once.
#include "kernels/sinkhorn_update.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/row_sum.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kRowWarps = 4;

__device__ __forceinline__ bool wanted(const SinkhornState* states, int64_t b) {
  return states == nullptr || (states[b].active && states[b].use_log_domain);
}

struct RowScratch {
  double* shift;  // [batch]
  float* v;       // [batch, cols], centred
};
RowScratch carve_rows(Carver& carver, const EntropicBatch& p) {
  RowScratch s{};
  s.shift = carver.take<double>(p.batch);
  s.v = carver.take<float>(p.batch * p.cols);
  return s;
}

struct ColumnScratch {
  Row* rows;             // [batch, rows]
  float *maxima, *sums;  // [all chunks, cols]
  float* maximum;        // [batch, cols], up to this strip
  double* sum;           // [batch, cols], relative to it
};
ColumnScratch carve_columns(Carver& carver, const EntropicBatch& p) {
  const int64_t chunks = tiles_of(p).chunks;
  ColumnScratch s{};
  s.rows = carver.take<Row>(p.batch * p.rows);
  s.maxima = carver.take<float>(total_partials(p, chunks, p.cols));
  s.sums = carver.take<float>(total_partials(p, chunks, p.cols));
  s.maximum = carver.take<float>(p.batch * p.cols);
  s.sum = carver.take<double>(p.batch * p.cols);
  return s;
}

__global__ void __launch_bounds__(kPrepareThreads)
    prepare_rows_kernel(SinkhornRowUpdate args, RowScratch s, int64_t blocks) {
  const int64_t b = blockIdx.x / blocks, first = b * args.problems.cols;
  const int64_t j = blockIdx.x % blocks * kPrepareThreads + threadIdx.x;
  if (!wanted(args.states, b)) return;  // the whole block
  const int64_t cols = cols_of(args.problems, b);
  const double shift = centre_of(args.v + first, cols);
  if (j == 0) s.shift[b] = shift;
  if (j < cols) s.v[first + j] = static_cast<float>(args.v[first + j] - shift);
}

// Updates row i of problem b, by one warp.
__device__ __forceinline__ void update_row(const SinkhornRowUpdate& args, const RowScratch& s, int64_t b,
                                           int64_t i) {
  const EntropicBatch& p = args.problems;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t at = b * p.rows + strip_of(p).begin + i, cols = cols_of(p, b);
  const double log_a = p.log_a[at];
  if (std::isinf(log_a)) {  // the whole warp
    if (lane == 0) args.u[at] = log_a;
    return;
  }
  const float c = p.inverse_epsilon[b];
  const float* affinity = affinity_of(p, b) + i * row_stride_of(p, b);
  const float* v = s.v + b * p.cols;
  const PartialSum part =
      sum_of_exponentials(affinity, c, lane, kWarpSize, cols, [v](int64_t j) { return v[j]; });
  const float top = warp_reduce(part.maximum, Maximum{});
  const double sum = warp_sum(part.relative_to(top));
  if (lane == 0) {
    const double next = log_a - (static_cast<double>(top) + log(sum)) - s.shift[b], old = args.u[at];
    args.u[at] = args.blend == 1.0 ? next : old + args.blend * (next - old);
  }
}

__global__ void __launch_bounds__(kRowWarps* kWarpSize) rows_kernel(SinkhornRowUpdate args, RowScratch s) {
  const WarpRows rows = rows_of_warp(args.problems, kRowWarps);
  // The whole warp returns; there is no barrier.
  if (rows.problem >= args.problems.batch || !wanted(args.states, rows.problem)) return;
  for (int64_t i = rows.begin; i < rows.end; i += kRowWarps) update_row(args, s, rows.problem, i);
}

// The row weight stays inside the exponent here: a row of weight 1e-40 may hold all the mass of a column. So
// `weight` is only exp of the rounding error of u_i.
__global__ void __launch_bounds__(kPrepareThreads)
    prepare_columns_kernel(SinkhornColumnUpdate args, ColumnScratch s, int64_t blocks) {
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kPrepareThreads + threadIdx.x;
  const Strip strip = strip_of(args.problems, b);
  const int64_t at = b * args.problems.rows + strip.begin + i;
  if (i < strip.rows && wanted(args.states, b))
    s.rows[at] = std::isinf(args.problems.log_a[at]) ? Row{-INFINITY, 0.0f} : split(args.u[at], 0.0);
}

__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    tiles_kernel(SinkhornColumnUpdate args, ColumnScratch s, Tiles tiles) {
  const EntropicBatch& p = args.problems;
  const Tile tile = tile_of_block(p, tiles);
  const int64_t b = tile.problem, j = tile.column, cols = cols_of(p, b), stride = row_stride_of(p, b);
  if (!wanted(args.states, b) || j >= cols) return;  // no barrier follows
  const float c = p.inverse_epsilon[b];
  const float* affinity = affinity_of(p, b) + tile.begin * stride + j;
  const Row* rows = s.rows + b * p.rows + strip_of(p).begin + tile.begin;
  float maximum = kNoMaximum;
  double sum = 0;
  for (int left = static_cast<int>(tile.end - tile.begin); left > 0; left -= kTileRows, rows += kTileRows) {
    float k[kTileRows];
    Row row[kTileRows];
#pragma unroll
    for (int r = 0; r < kTileRows; ++r, affinity += stride) {
      k[r] = r < left ? *affinity : 0.0f;
      row[r] = r < left ? rows[r] : Row{-INFINITY, 0.0f};
    }
    float top = maximum;
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) top = fmaxf(top, fmaf(c, k[r], row[r].offset));
    float part = 0;
#pragma unroll
    for (int r = 0; r < kTileRows; ++r)
      part = fmaf(row[r].weight, exp_clamped(fmaf(c, k[r], row[r].offset) - top), part);
    sum = sum * static_cast<double>(exp_clamped(maximum - top)) + static_cast<double>(part);
    maximum = top;
  }
  const int64_t at = partials_of(p, b, tiles.chunks, cols) + tile.chunk * cols + j;
  s.maxima[at] = maximum;
  s.sums[at] = static_cast<float>(sum);
}

// Combines chunks (entropic.h) and earlier strips, each relative to its own maximum.
__global__ void __launch_bounds__(kSumThreads)
    combine_kernel(SinkhornColumnUpdate args, ColumnScratch s, int64_t chunks, int64_t blocks) {
  SOTALIGN_SHARED(float, maxima, [kGroups][kWarpSize]);
  SOTALIGN_SHARED(double, sums, [kGroups][kWarpSize]);
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, cols = cols_of(p, b);
  const int64_t j = blockIdx.x % blocks * kWarpSize + sum_column();
  if (!wanted(args.states, b)) return;  // the whole block
  const Strip strip = strip_of(p, b);
  const int64_t mine = j < cols ? chunks_of(p, b, chunks) : 0, at = partials_of(p, b, chunks, cols) + j,
                column = b * p.cols + j;
  const float before = strip.first || j >= cols ? kNoMaximum : s.maximum[column];
  float maximum = kNoMaximum;
  for (int64_t chunk = sum_group(); chunk < mine; chunk += kGroups)
    maximum = fmaxf(maximum, s.maxima[at + chunk * cols]);
  maximum = fmaxf(combine_groups(maximum, maxima, Maximum{}), before);
  double sum = 0;
  for (int64_t chunk = sum_group(); chunk < mine; chunk += kGroups)
    sum += static_cast<double>(s.sums[at + chunk * cols]) *
           static_cast<double>(exp_clamped(s.maxima[at + chunk * cols] - maximum));
  sum = combine_groups(sum, sums, Plus{});
  if (sum_group() != 0 || j >= cols) return;  // no barrier follows
  if (!strip.first) sum += s.sum[column] * static_cast<double>(exp_clamped(before - maximum));
  if (strip.last) {
    const double log_b = p.log_b[column];
    args.v[column] =
        std::isinf(log_b) ? log_b : args.factor * (log_b - (static_cast<double>(maximum) + log(sum)));
  } else {
    s.maximum[column] = maximum;
    s.sum[column] = sum;
  }
}

}  // namespace

size_t sinkhorn_row_update_scratch(const Queue&, const SinkhornRowUpdate& args) {
  Carver carver;
  carve_rows(carver, args.problems);
  return carver.used();
}

void sinkhorn_row_update(const Queue& queue, const SinkhornRowUpdate& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const RowScratch s = carve_rows(carver, p);
  const int64_t blocks = blocks_for(p.cols, kPrepareThreads);
  const Strip strip = strip_of(p);
  if (strip.first)
    launch(queue, "sinkhorn_row_update", prepare_rows_kernel, static_cast<unsigned>(p.batch * blocks),
           kPrepareThreads, 0, args, s, blocks);
  launch(queue, "sinkhorn_row_update", rows_kernel, warp_row_blocks(p, kRowWarps), kRowWarps * kWarpSize, 0,
         args, s);
}

size_t sinkhorn_column_update_scratch(const Queue&, const SinkhornColumnUpdate& args) {
  Carver carver;
  carve_columns(carver, args.problems);
  return carver.used();
}

void sinkhorn_column_update(const Queue& queue, const SinkhornColumnUpdate& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const ColumnScratch s = carve_columns(carver, p);
  const Tiles tiles = tiles_of(p);
  const int64_t row_blocks = blocks_for(strip_of(p).rows, kPrepareThreads),
                column_blocks = blocks_for(p.cols, kWarpSize);
  launch(queue, "sinkhorn_column_update", prepare_columns_kernel, static_cast<unsigned>(p.batch * row_blocks),
         kPrepareThreads, 0, args, s, row_blocks);
  launch(queue, "sinkhorn_column_update", tiles_kernel, tile_blocks(p, tiles), kTileThreads, 0, args, s,
         tiles);
  launch(queue, "sinkhorn_column_update", combine_kernel, static_cast<unsigned>(p.batch * column_blocks),
         kSumThreads, 0, args, s, tiles.chunks, column_blocks);
}

}  // namespace sotalign::kernels::cuda
