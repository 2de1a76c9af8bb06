// What the CUDA files of the Sinkhorn and KLOT operations share: how potentials are handed to the
// single-precision loops, how exponentials are taken, and two ways of mapping threads to data:
//   * tiles: a block takes a chunk of rows of kTileThreads columns, a thread owns one column (or a few, that
//     many apart) and walks down the rows. A warp reads 32 neighbours of a row. What belongs to a column
//     stays in registers; what belongs to a row was worked out before and is read by all threads at once;
//   * sums over chunks: a block takes 32 columns, and 8 groups of 32 threads share the chunks among them.
// Everything is laid out from the shape of one problem: results depend neither on the device nor on the size
// of the batch. Where problems have shapes of their own, grids of blocks that walk down rows have a block (or
// a row of tiles as wide as the widest problem's) for each chunk that there is; grids over vectors are as for
// the largest problem, and blocks beyond a problem's own have nothing to do.
//
// In the loops x = c k + offset + v_j, evaluated as fma(c, k, offset) + v_j: the product and the offset, both
// large, nearly cancel inside the fused multiply-add, so that x is rounded at its own small magnitude. That
// is why the factor log2(e) of exp2 multiplies x and not c and the potentials.
#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/cuda/intrinsics.h"
#include "kernels/cuda/reduce.h"
#include "kernels/entropic_batch.h"
#include "kernels/entropic_common.h"

namespace sotalign::kernels::cuda {

/// exp(x), x clamped to [kLowestExponent, kHighestExponent] (so that an x of -inf gives 4e-38 rather than 0).
__device__ __forceinline__ float exp_clamped(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  return exp2_approx(fminf(fmaxf(x, kLowestExponent), kHighestExponent) * kLog2E);
}
/// An entry of a plan, scale exp(x): exactly 0 below the lowest exponent.
__device__ __forceinline__ float plan_entry(float x, float scale) {
  return x >= kLowestExponent ? scale * exp_clamped(x) : 0.0f;
}

/// The maximum of no exponents. Finite, as differences of maxima must not be NaN.
inline constexpr float kNoMaximum = -FLT_MAX;

/// A row as the loops see it: its entries of the plan are weight exp(c K_ij + offset + v_j).
struct Row {
  float offset, weight;  ///< weight 0: the row has no mass
};
/// `offset` is what single precision holds of u_i - log a_i, so that the exponentials of a row sum to about
/// one; the weight is a_i and the rest of u_i.
__device__ __forceinline__ Row split(double u, double log_a) {
  if (std::isinf(log_a)) return {0.0f, 0.0f};
  const float offset = static_cast<float>(u - log_a);
  return {offset, static_cast<float>(exp(u - static_cast<double>(offset)))};
}

/// What is taken off the column potentials before they are rounded, so that single precision loses the fewest
/// digits of them, and belongs to the row potentials instead (u_i + shift): the mean of the finite ones. Each
/// block of the preparing kernels works it out for itself, as a vector is short beside one of K; all threads
/// get it.
inline constexpr int kPrepareThreads = 512;
__device__ inline double centre_of(const double* v, int64_t count) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  double sum = 0, finite = 0;
  for (int64_t j = threadIdx.x; j < count; j += kPrepareThreads)
    if (std::isfinite(v[j])) sum += v[j], finite += 1;
  sum = block_sum(sum, scratch);
  finite = block_sum(finite, scratch);
  return finite > 0 ? sum / finite : 0.0;
}
/// The grid of a preparing kernel: a thread per row and column, for each problem.
constexpr int64_t prepare_blocks(int64_t rows, int64_t cols) {
  return ((rows > cols ? rows : cols) + kPrepareThreads - 1) / kPrepareThreads;
}

/// Into how many chunks, each with column sums of its own, rows are split: at least 4 rows to a chunk, as
/// that many are read at a time, and no more chunks than asked for.
constexpr int64_t chunk_count(int64_t rows, int64_t most) {
  const int64_t chunks = (rows + 3) / 4;
  return chunks < 1 ? 1 : chunks < most ? chunks : most;
}

inline constexpr int kTileThreads = 256;
/// Rows that a thread of a tile reads at a time.
inline constexpr int kTileRows = 8;

/// The tiles of a strip, each of kTileThreads * per_thread columns and a chunk of rows. Some 2000 blocks
/// are two waves on the largest devices, at 8 blocks to a multiprocessor; 64 chunks and more keep wide
/// matrices balanced, where fewer would do.
struct Tiles {
  int64_t chunks, across;
};
constexpr Tiles tiles_of(int64_t rows, int64_t cols, int per_thread = 1) {
  const int64_t width = int64_t{kTileThreads} * per_thread, across = (cols + width - 1) / width;
  return {chunk_count(rows, 2112 / across > 64 ? 2112 / across : 64), across};
}
constexpr Tiles tiles_of(const EntropicBatch& p, int per_thread = 1) {
  return tiles_of(strip_height(p), p.cols, per_thread);
}

/// Where a block of a grid over problems, chunks and tiles across works. Neighbouring blocks read
/// neighbouring columns.
struct Tile {
  int64_t problem, chunk, begin, end;  ///< rows [begin, end) of the strip, if there are several
  int64_t across, column;              ///< the tile's place in its row of tiles; the thread's first column
};
__device__ __forceinline__ Tile tile_of_block(const EntropicBatch& p, const Tiles& tiles,
                                              int per_thread = 1) {
  const Chunk chunk = chunk_of(p, static_cast<int64_t>(blockIdx.x) / tiles.across, tiles.chunks);
  const int64_t rows = strip_of(p, chunk.problem).rows;
  Tile tile{};
  tile.across = static_cast<int64_t>(blockIdx.x) % tiles.across;
  tile.problem = chunk.problem;
  tile.chunk = chunk.index;
  tile.begin = chunk_begin(rows, chunk.count, chunk.index);
  tile.end = chunk_begin(rows, chunk.count, chunk.index + 1);
  tile.column = tile.across * kTileThreads * per_thread + threadIdx.x;
  return tile;
}
constexpr unsigned tile_blocks(const EntropicBatch& p, const Tiles& tiles) {
  return static_cast<unsigned>(total_chunks(p, tiles.chunks) * tiles.across);
}

/// A grid with a warp for each row of a strip, `warps` to a block; or with a block for each chunk, where
/// problems have shapes of their own. A warp takes the rows begin, begin + warps, ... below end of the strip.
struct WarpRows {
  int64_t problem, begin, end;  ///< beyond the last problem: no rows
};
__device__ __forceinline__ WarpRows rows_of_warp(const EntropicBatch& p, int warps) {
  const int64_t warp = threadIdx.x / kWarpSize;
  if (p.layouts != nullptr) {
    const Chunk chunk = chunk_of(p, blockIdx.x, 0);
    const int64_t rows = p.layouts[chunk.problem].rows;
    return {chunk.problem, chunk_begin(rows, chunk.count, chunk.index) + warp,
            chunk_begin(rows, chunk.count, chunk.index + 1)};
  }
  const int64_t rows = strip_of(p).rows, row = static_cast<int64_t>(blockIdx.x) * warps + warp;
  return {row / rows, row % rows, row % rows + 1};
}
constexpr unsigned warp_row_blocks(const EntropicBatch& p, int64_t warps) {
  return static_cast<unsigned>(p.chunks > 0 ? p.chunks : (p.batch * strip_of(p).rows + warps - 1) / warps);
}

/// The marginals' tiles (sinkhorn_plan.cu), each warp of which leaves a sum for each row.
inline constexpr int kMarginalColumns = 4;  ///< of a thread
inline constexpr int kMarginalWarps = kTileThreads / kWarpSize;
constexpr int64_t marginal_warps(int64_t cols) {
  return tiles_of(1, cols, kMarginalColumns).across * kMarginalWarps;
}

/// Sums over chunks: a block has 32 columns, threads of one column are 32 apart, one in each group.
inline constexpr int kGroups = 8;
inline constexpr int kSumThreads = kGroups * kWarpSize;
__device__ __forceinline__ int64_t sum_column() { return threadIdx.x % kWarpSize; }
__device__ __forceinline__ int64_t sum_group() { return threadIdx.x / kWarpSize; }

/// Combines the groups' values of each column in fixed order; all threads get the result. One barrier, hence
/// `shared` must not be used again.
template <class T, class Op>
__device__ __forceinline__ T combine_groups(T value, T (&shared)[kGroups][kWarpSize], Op op) {
  shared[sum_group()][sum_column()] = value;
  __syncthreads();
  value = shared[0][sum_column()];
  for (int group = 1; group < kGroups; ++group) value = op(value, shared[group][sum_column()]);
  return value;
}

/// sum over chunks of partial[chunk * count + j], in double; 0 for j >= count. All threads of a column get
/// it.
__device__ __forceinline__ double sum_chunks(const float* partial, int64_t chunks, int64_t count, int64_t j,
                                             double (&shared)[kGroups][kWarpSize]) {
  double sum = 0;
  if (j < count)
    for (int64_t chunk = sum_group(); chunk < chunks; chunk += kGroups)
      sum += static_cast<double>(partial[chunk * count + j]);
  return combine_groups(sum, shared, Plus{});
}

}  // namespace sotalign::kernels::cuda
