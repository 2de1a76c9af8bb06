// One pass over S. A block takes a piece of kRows x kCols; a thread owns kOwned columns, a block width apart,
// and keeps their counters, thresholds, corrections and groups in registers; those of the rows are in shared
// memory. A thread's hits in kTogether rows are the bytes of one word, so one warp reduction serves all of
// them. Counters leave the block by atomic adds, one per row and column of the piece: 1/512 and 1/64 of the
// entries. Integer adds are exact, so their order does not matter.
//
// Not CUB: a rank needs no sorted row, only a count. This counts for rows and columns at once, in one read.
#include "kernels/retrieval_rank.h"

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 128, kOwned = 4, kCols = kThreads * kOwned;
constexpr int kRows = 64, kTogether = 4;
static_assert(kTogether == 4 && kOwned * kWarpSize < 256, "four bytes, each with the count of a warp");
static_assert(kRows <= kThreads && kRows % kTogether == 0);

__device__ __forceinline__ void count_up(int64_t* counter, int more) {
  // CUDA has no signed 64-bit atomicAdd; modulo 2^64 the unsigned one gives the same.
  if (more > 0) atomicAdd(reinterpret_cast<unsigned long long*>(counter), static_cast<unsigned>(more));
}

__global__ void __launch_bounds__(kThreads) retrieval_rank_kernel(RetrievalRank args, int64_t pieces_across) {
  SOTALIGN_SHARED(float, row_thresholds, [kRows]);
  SOTALIGN_SHARED(float, row_corrections, [kRows]);
  SOTALIGN_SHARED(int32_t, row_groups, [kRows]);
  SOTALIGN_SHARED(int, row_counters, [kRows]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize;
  const int64_t first_row = blockIdx.x / pieces_across * kRows;
  const int64_t first_col = blockIdx.x % pieces_across * kCols + thread;
  const int rows = args.rows - first_row < kRows ? static_cast<int>(args.rows - first_row) : kRows;

  if (thread < rows) {
    row_thresholds[thread] = args.row_best[first_row + thread] - args.margin;
    row_corrections[thread] =
        args.row_corrections != nullptr ? args.row_corrections[first_row + thread] : 0.0f;
    row_groups[thread] = args.row_groups[first_row + thread];
    row_counters[thread] = 0;
  }
  bool inside[kOwned];
  float thresholds[kOwned], corrections[kOwned];
  int32_t groups[kOwned];
  int counters[kOwned];
#pragma unroll
  for (int c = 0; c < kOwned; ++c) {
    const int64_t j = first_col + c * kThreads;
    inside[c] = j < args.cols;
    thresholds[c] = inside[c] ? args.col_best[j] - args.margin : 0.0f;
    corrections[c] = inside[c] && args.col_corrections != nullptr ? args.col_corrections[j] : 0.0f;
    groups[c] = inside[c] ? args.col_groups[j] : 0;
    counters[c] = 0;
  }
  __syncthreads();  // what the threads need of the rows is set

  for (int r = 0; r < rows; r += kTogether) {
    float scores[kTogether][kOwned];
#pragma unroll
    for (int t = 0; t < kTogether; ++t)
#pragma unroll
      for (int c = 0; c < kOwned; ++c)
        scores[t][c] = r + t < rows && inside[c]
                           ? args.scores[(first_row + r + t) * args.scores_stride + first_col + c * kThreads]
                           : 0.0f;
    unsigned found = 0;
#pragma unroll
    for (int t = 0; t < kTogether; ++t) {
      if (r + t >= rows) continue;
      const float row_threshold = row_thresholds[r + t], row_correction = row_corrections[r + t];
      const int32_t row_group = row_groups[r + t];
#pragma unroll
      for (int c = 0; c < kOwned; ++c) {
        const bool wrong = inside[c] && groups[c] != row_group;
        // Not >=: a NaN on either side counts.
        found += wrong && !(scores[t][c] - corrections[c] < row_threshold) ? 1u << 8 * t : 0u;
        counters[c] += wrong && !(scores[t][c] - row_correction < thresholds[c]) ? 1 : 0;
      }
    }
    found = warp_sum(found);
    if (lane < kTogether && r + lane < rows)
      atomicAdd(row_counters + r + lane, static_cast<int>(found >> 8 * lane & 255));
  }
  __syncthreads();  // all warps have added their counts

  if (thread < rows) count_up(args.row_counts + first_row + thread, row_counters[thread]);
#pragma unroll
  for (int c = 0; c < kOwned; ++c)
    if (inside[c]) count_up(args.col_counts + first_col + c * kThreads, counters[c]);
}

}  // namespace

void retrieval_rank(const Queue& queue, const RetrievalRank& args) {
  const unsigned across = blocks_for(args.cols, kCols), down = blocks_for(args.rows, kRows);
  launch(queue, "retrieval_rank", retrieval_rank_kernel, across * down, kThreads, 0, args, across);
}

}  // namespace sotalign::kernels::cuda
