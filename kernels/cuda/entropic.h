// Shared by the CUDA files of the Sinkhorn and KLOT operations: potentials in the form that the
// single-precision loops take, the exponential, and two mappings of threads to data:
//   * tiles: a block takes a chunk of rows of kTileThreads columns; a thread owns one column (or a few,
//     kTileThreads apart) and walks down the rows. Loads coalesce: a warp reads 32 adjacent entries of a row.
//     Column data stays in registers; row data is precomputed and broadcast to all threads;
//   * sums over chunks: a block takes 32 columns, and 8 groups of 32 threads share the chunks.
// The shape of one problem fixes the layout: results depend neither on the device nor on the batch size. In a
// ragged batch, grids that walk down rows have a block (or a row of tiles as wide as the widest problem) for
// each existing chunk; grids over vectors are sized for the largest problem, and blocks past a problem's end
// return.
//
// In the loops x = c k + offset + v_j, evaluated as fma(c, k, offset) + v_j: the large product and offset
// nearly cancel inside the fused multiply-add, so x is rounded at its own, small magnitude. This is why the
// factor log2(e) of exp2 multiplies x rather than c and the potentials.
#pragma once

#include <cfloat>
#include <cmath>

#include "kernels/cuda/intrinsics.h"
#include "kernels/cuda/reduce.h"
#include "kernels/entropic_batch.h"
#include "kernels/entropic_common.h"

namespace sotalign::kernels::cuda {

/// exp(x) with x clamped to [kLowestExponent, kHighestExponent], so x = -inf gives 4e-38 rather than 0.
__device__ __forceinline__ float exp_clamped(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  return exp2_approx(fminf(fmaxf(x, kLowestExponent), kHighestExponent) * kLog2E);
}
/// A plan entry, scale exp(x): exactly 0 below the lowest exponent.
__device__ __forceinline__ float plan_entry(float x, float scale) {
  return x >= kLowestExponent ? scale * exp_clamped(x) : 0.0f;
}

/// Maximum over no exponents. Finite, so that differences of maxima are never NaN.
inline constexpr float kNoMaximum = -FLT_MAX;

/// A row as the loops use it: its plan entries are weight exp(c K_ij + offset + v_j).
struct Row {
  float offset, weight;  ///< weight 0: the row has no mass
};
/// `offset` is u_i - log a_i rounded to float, so the exponentials of a row sum to about one; `weight` is a_i
/// times exp of the rounding error.
__device__ __forceinline__ Row split(double u, double log_a) {
  if (std::isinf(log_a)) return {0.0f, 0.0f};
  const float offset = static_cast<float>(u - log_a);
  return {offset, static_cast<float>(exp(u - static_cast<double>(offset)))};
}

/// The mean of the finite column potentials. It is subtracted before they are rounded to float, so they lose
/// the fewest digits, and added to the row potentials instead (u_i + shift). Each block of a prepare kernel
/// computes it again, since a vector is short compared with the block's share of K; all threads get the
/// result.
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
/// Blocks per problem of a prepare kernel, which has a thread per row and column.
constexpr int64_t prepare_blocks(int64_t rows, int64_t cols) {
  return ((rows > cols ? rows : cols) + kPrepareThreads - 1) / kPrepareThreads;
}

/// Number of chunks of rows, each with its own column sums: about 4 rows or more per chunk, as loops read
/// that many at a time, and at most `most` chunks.
constexpr int64_t chunk_count(int64_t rows, int64_t most) {
  const int64_t chunks = (rows + 3) / 4;
  return chunks < 1 ? 1 : chunks < most ? chunks : most;
}

inline constexpr int kTileThreads = 256;
/// Blocks of tiles per multiprocessor that the registers must leave room for, so that enough reads are in
/// flight. Without this bound, the extra registers of ragged batches would cost some of that occupancy.
inline constexpr int kTileBlocks = 5;
/// Rows a thread of a tile reads at a time.
inline constexpr int kTileRows = 8;

/// The tiles of a strip, each a chunk of rows of kTileThreads * per_thread columns. About 2000 blocks are two
/// waves on the largest devices, at 8 blocks per multiprocessor; wide matrices take at least 64 chunks, which
/// balances the load.
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

/// The tile of a block, in a grid over problems, chunks and tiles across. Neighbouring blocks read
/// neighbouring columns.
struct Tile {
  int64_t problem, chunk, begin, end;  ///< rows [begin, end) of the problem's strip
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

/// Rows of a warp, in a grid with one warp per row of a strip, `warps` to a block, or in a ragged batch with
/// one block per chunk. A warp takes the rows begin, begin + warps, ... below `end` of the strip.
struct WarpRows {
  int64_t problem, begin, end;  ///< past the last problem: no rows
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

/// The marginals' tiles (sinkhorn_plan.cu); each of their warps writes a sum per row.
inline constexpr int kMarginalColumns = 4;  ///< per thread
inline constexpr int kMarginalWarps = kTileThreads / kWarpSize;
constexpr int64_t marginal_warps(int64_t cols) {
  return tiles_of(1, cols, kMarginalColumns).across * kMarginalWarps;
}

/// Sums over chunks: a block takes 32 columns; threads of the same column are 32 apart, one in each group.
inline constexpr int kGroups = 8;
inline constexpr int kSumThreads = kGroups * kWarpSize;
__device__ __forceinline__ int64_t sum_column() { return threadIdx.x % kWarpSize; }
__device__ __forceinline__ int64_t sum_group() { return threadIdx.x / kWarpSize; }

/// Combines the groups' values of each column in a fixed order; all threads get the result. Has only one
/// barrier, so `shared` must not be used again.
template <class T, class Op>
__device__ __forceinline__ T combine_groups(T value, T (&shared)[kGroups][kWarpSize], Op op) {
  shared[sum_group()][sum_column()] = value;
  __syncthreads();
  value = shared[0][sum_column()];
  for (int group = 1; group < kGroups; ++group) value = op(value, shared[group][sum_column()]);
  return value;
}

/// Sum over chunks of partial[chunk * stride + j], in double; 0 for j >= count, for which nothing is read: a
/// chunk's padding may never have been written. All threads of a column get it.
__device__ __forceinline__ double sum_chunks(const float* partial, int64_t chunks, int64_t stride,
                                             int64_t count, int64_t j, double (&shared)[kGroups][kWarpSize]) {
  double sum = 0;
  if (j < count)
    for (int64_t chunk = sum_group(); chunk < chunks; chunk += kGroups)
      sum += static_cast<double>(partial[chunk * stride + j]);
  return combine_groups(sum, shared, Plus{});
}

}  // namespace sotalign::kernels::cuda
