// Plan and marginal errors, one pass over K in tiles (entropic.h) each. For the plan, a thread takes one
// column. For the marginals it takes four, so one warp reduction of a row sum serves 128 entries; the warps
// write their row sums, [warps across, rows], which are added like the chunks' column sums, in double and in
// a fixed order. Row errors are complete with each strip, column errors with the last one.
#include "kernels/sinkhorn_plan.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kFinalThreads = 1024;
constexpr int kColumns = kMarginalColumns;  // per thread, for the marginals
constexpr int kRowsAtOnce = 4;

struct Potentials {
  Row* rows;  // [batch, rows]
  float* v;   // [batch, cols], centred
};
Potentials carve_potentials(Carver& carver, const EntropicBatch& p) {
  Potentials s{};
  s.rows = carver.take<Row>(p.batch * p.rows);
  s.v = carver.take<float>(p.batch * p.cols);
  return s;
}

// Row errors are added in blocks of 32 rows of a strip, column errors in blocks of 32 columns.
struct MarginalScratch {
  Potentials potentials;
  float* warp_rows;       // [batch, warps across, strip rows]
  float* chunk_columns;   // [all chunks, cols]
  double* columns;        // [batch, cols], sums up to this strip
  double* row_errors;     // [batch, blocks of rows]
  double* column_errors;  // [batch, blocks of columns]
};
MarginalScratch carve(Carver& carver, const EntropicBatch& p) {
  const Tiles tiles = tiles_of(p, kColumns);
  MarginalScratch s{};
  s.potentials = carve_potentials(carver, p);
  s.warp_rows = carver.take<float>(total_partials(p, tiles.across * kMarginalWarps, strip_height(p)));
  s.chunk_columns = carver.take<float>(total_partials(p, tiles.chunks, p.cols));
  s.columns = carver.take<double>(p.batch * p.cols);
  s.row_errors = carver.take<double>(p.batch * blocks_for(strip_height(p), kWarpSize));
  s.column_errors = carver.take<double>(p.batch * blocks_for(p.cols, kWarpSize));
  return s;
}

__global__ void __launch_bounds__(kPrepareThreads)
    prepare_kernel(EntropicBatch p, const double* u, const double* v, Potentials s, int64_t blocks) {
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kPrepareThreads + threadIdx.x;
  const int64_t cols = cols_of(p, b);
  const double shift = centre_of(v + b * p.cols, cols);
  if (i < cols) s.v[b * p.cols + i] = static_cast<float>(v[b * p.cols + i] - shift);
  const Strip strip = strip_of(p, b);
  const int64_t row = b * p.rows + strip.begin + i;
  if (i < strip.rows) s.rows[row] = split(u[row] + shift, p.log_a[row]);
}
void launch_prepare(const Queue& queue, const char* name, const EntropicBatch& p, const double* u,
                    const double* v, const Potentials& s) {
  const int64_t blocks = prepare_blocks(strip_of(p).rows, p.cols);
  launch(queue, name, prepare_kernel, static_cast<unsigned>(p.batch * blocks), kPrepareThreads, 0, p, u, v, s,
         blocks);
}

__global__ void __launch_bounds__(kTileThreads) plan_kernel(SinkhornPlan args, Potentials s, Tiles tiles) {
  const EntropicBatch& p = args.problems;
  const Tile tile = tile_of_block(p, tiles);
  const int64_t b = tile.problem, j = tile.column, stride = row_stride_of(p, b),
                plan_stride = plan_stride_of(args, b);
  if (j >= cols_of(p, b)) return;  // no barrier follows
  const float c = p.inverse_epsilon[b], v = s.v[b * p.cols + j];
  const float* affinity = affinity_of(p, b) + j;
  float* plan = plan_of(args, b) + j;
  const Row* rows = s.rows + b * p.rows + strip_of(p).begin;
  for (int64_t i = tile.begin; i < tile.end; i += kTileRows) {
    float k[kTileRows];
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) k[r] = i + r < tile.end ? affinity[(i + r) * stride] : 0.0f;
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) {
      if (i + r >= tile.end) continue;
      const Row row = rows[i + r];
      plan[(i + r) * plan_stride] = plan_entry(fmaf(c, k[r], row.offset) + v, row.weight);
    }
  }
}

__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    marginals_kernel(SinkhornMarginals args, MarginalScratch s, Tiles tiles) {
  const EntropicBatch& p = args.problems;
  const Tile tile = tile_of_block(p, tiles, kColumns);
  const int64_t b = tile.problem, cols = cols_of(p, b),
                left = cols - tile.column;  // from the first column
  const int64_t strip_rows = strip_of(p, b).rows, stride = row_stride_of(p, b);
  if (left + threadIdx.x <= 0) return;  // the whole block: the tile is past the problem's columns
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const float c = p.inverse_epsilon[b];
  const float* affinity = affinity_of(p, b) + tile.column;
  const Row* rows = s.potentials.rows + b * p.rows + strip_of(p).begin;
  const int64_t warp = tile.across * kMarginalWarps + threadIdx.x / kWarpSize;
  float* warp_rows =
      s.warp_rows + partials_of(p, b, tiles.across * kMarginalWarps, strip_rows) + warp * strip_rows;
  float v[kColumns], columns[kColumns];
#pragma unroll
  for (int k = 0; k < kColumns; ++k) {
    v[k] = k * kTileThreads < left ? s.potentials.v[b * p.cols + tile.column + k * kTileThreads] : -INFINITY;
    columns[k] = 0.0f;
  }
  for (int64_t i = tile.begin; i < tile.end; i += kRowsAtOnce) {
    float p_row[kRowsAtOnce][kColumns];
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r)
#pragma unroll
      for (int k = 0; k < kColumns; ++k)
        p_row[r][k] = i + r < tile.end && k * kTileThreads < left
                          ? affinity[(i + r) * stride + k * kTileThreads]
                          : 0.0f;
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const Row row = i + r < tile.end ? rows[i + r] : Row{0.0f, 0.0f};
      float sum = 0;
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        const float entry = plan_entry(fmaf(c, p_row[r][k], row.offset) + v[k], row.weight);
        columns[k] += entry;
        sum += entry;
      }
      sum = warp_sum(sum);
      if (lane == 0 && i + r < tile.end) warp_rows[i + r] = sum;
    }
  }
  float* partial = s.chunk_columns + partials_of(p, b, tiles.chunks, cols) + tile.chunk * cols + tile.column;
#pragma unroll
  for (int k = 0; k < kColumns; ++k)
    if (k * kTileThreads < left) partial[k * kTileThreads] = columns[k];
}

// Adds the warps' row sums (entropic.h) and compares them with the weights: one error per 32 rows.
__global__ void __launch_bounds__(kSumThreads)
    row_errors_kernel(SinkhornMarginals args, MarginalScratch s, int64_t parts, int64_t blocks) {
  SOTALIGN_SHARED(double, shared, [kGroups][kWarpSize]);
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kWarpSize + sum_column();
  const Strip strip = strip_of(p, b);
  const int64_t own = p.layouts == nullptr ? parts : marginal_warps(p.layouts[b].cols);
  const double sum =
      sum_chunks(s.warp_rows + partials_of(p, b, parts, strip.rows), own, strip.rows, strip.rows, i, shared);
  if (sum_group() != 0) return;  // whole warps return; no barrier follows
  const double* log_a = p.log_a + b * p.rows + strip.begin;
  const double error = warp_sum(i < strip.rows ? fabs(sum - exp(log_a[i])) : 0.0);
  if (sum_column() == 0) s.row_errors[blockIdx.x] = strip.first ? error : s.row_errors[blockIdx.x] + error;
}

// The same per 32 columns; the errors are complete with the last strip.
__global__ void __launch_bounds__(kSumThreads)
    column_errors_kernel(SinkhornMarginals args, MarginalScratch s, int64_t chunks, int64_t blocks) {
  SOTALIGN_SHARED(double, shared, [kGroups][kWarpSize]);
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, cols = cols_of(p, b);
  const Strip strip = strip_of(p, b);
  const int64_t j = blockIdx.x % blocks * kWarpSize + sum_column(), at = b * p.cols + j;
  double sum = sum_chunks(s.chunk_columns + partials_of(p, b, chunks, cols), chunks_of(p, b, chunks), cols,
                          cols, j, shared);
  if (sum_group() != 0) return;  // whole warps return; no barrier follows
  if (j < cols && !strip.first) sum += s.columns[at];
  if (j < cols && !strip.last) s.columns[at] = sum;
  const double error = warp_sum(j < cols ? fabs(sum - exp(p.log_b[at])) : 0.0);
  if (sum_column() == 0) s.column_errors[blockIdx.x] = error;
}

// Writes the total errors to the states, one block per problem.
__global__ void __launch_bounds__(kFinalThreads)
    states_kernel(SinkhornState* states, MarginalScratch s, int64_t row_blocks, int64_t column_blocks) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  const int64_t b = blockIdx.x;
  double row_error = 0, column_error = 0;
  for (int64_t n = threadIdx.x; n < row_blocks; n += kFinalThreads)
    row_error += s.row_errors[b * row_blocks + n];
  for (int64_t n = threadIdx.x; n < column_blocks; n += kFinalThreads)
    column_error += s.column_errors[b * column_blocks + n];
  row_error = block_sum(row_error, scratch);
  column_error = block_sum(column_error, scratch);
  if (threadIdx.x == 0) {
    states[b].row_error = row_error;
    states[b].column_error = column_error;
  }
}

}  // namespace

size_t sinkhorn_plan_scratch(const Queue&, const SinkhornPlan& args) {
  Carver carver;
  carve_potentials(carver, args.problems);
  return carver.used();
}

void sinkhorn_plan(const Queue& queue, const SinkhornPlan& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const Potentials s = carve_potentials(carver, p);
  const Tiles tiles = tiles_of(p);
  launch_prepare(queue, "sinkhorn_plan", p, args.u, args.v, s);
  launch(queue, "sinkhorn_plan", plan_kernel, tile_blocks(p, tiles), kTileThreads, 0, args, s, tiles);
}

size_t sinkhorn_marginals_scratch(const Queue&, const SinkhornMarginals& args) {
  Carver carver;
  carve(carver, args.problems);
  return carver.used();
}

void sinkhorn_marginals(const Queue& queue, const SinkhornMarginals& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const MarginalScratch s = carve(carver, p);
  const Strip strip = strip_of(p);
  const Tiles tiles = tiles_of(p, kColumns);
  const int64_t row_blocks = blocks_for(strip.rows, kWarpSize), column_blocks = blocks_for(p.cols, kWarpSize);
  launch_prepare(queue, "sinkhorn_marginals", p, args.u, args.v, s.potentials);
  launch(queue, "sinkhorn_marginals", marginals_kernel, tile_blocks(p, tiles), kTileThreads, 0, args, s,
         tiles);
  launch(queue, "sinkhorn_marginals", row_errors_kernel, static_cast<unsigned>(p.batch * row_blocks),
         kSumThreads, 0, args, s, tiles.across * kMarginalWarps, row_blocks);
  launch(queue, "sinkhorn_marginals", column_errors_kernel, static_cast<unsigned>(p.batch * column_blocks),
         kSumThreads, 0, args, s, tiles.chunks, column_blocks);
  if (strip.last)
    launch(queue, "sinkhorn_marginals", states_kernel, static_cast<unsigned>(p.batch), kFinalThreads, 0,
           args.states, s, static_cast<int64_t>(blocks_for(strip_height(p), kWarpSize)), column_blocks);
}

}  // namespace sotalign::kernels::cuda
