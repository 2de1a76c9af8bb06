// One warp per row. It reads the tile once and buffers entries above the k-th best value so far; soon nearly
// all entries fail that one comparison. When the buffer of candidates is full, and at the end, the warp sorts
// it and merges it into the row's list, which stays in global memory, so any k is possible. Between merges
// the k-th best value is out of date, which admits too many entries, never too few.
//
// A merge moves each entry of the list down by the number of candidates above it, from the end of the list
// backwards, 32 at a time, so a move never overwrites an entry that has not been read yet. Candidates come
// from later columns than the list, so they go behind equal entries.
//
// Not CUB: it sorts or selects within arrays that are complete and lie in memory, and sorting a row would
// read and write each of its entries several times. Here the tile is read once, with its corrections, and
// nothing is written but the lists; equal entries stay in the order of their columns from tile to tile. In
// random order about k log(columns / k) entries of a row become candidates, so sorting them costs little.
#include "kernels/top_k.h"

#include <limits>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarpSize;
constexpr int kScan = 8 * kWarpSize;  // entries compared at once, to keep loads in flight
// Ranking the candidates costs the square of this; the number of merges is inversely proportional to it.
constexpr int kPerLane = 4, kCandidates = kPerLane * kWarpSize;

struct Candidates {
  float values[kCandidates];
  int64_t columns[kCandidates];
};

// How many leading entries of the descending values [count] are >= `value` (kEqual) or > `value`.
template <bool kEqual, class Size>
__device__ __forceinline__ Size leading(const float* values, Size count, float value) {
  Size low = 0, high = count;
  while (low < high) {
    const Size middle = low + (high - low) / 2;
    if (values[middle] > value || (kEqual && values[middle] == value))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Merges the first `count` candidates, in ascending order of columns, into the list of k entries and returns
// the k-th value. The candidates may be overwritten afterwards.
__device__ __forceinline__ float merge(Candidates& candidates, int count, float* values, int64_t* indices,
                                       int64_t k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  __syncwarp();  // all lanes have written their candidates
  float value[kPerLane];
  int64_t column[kPerLane], place[kPerLane];
  int rank[kPerLane];
#pragma unroll
  for (int c = 0; c < kPerLane; ++c) {
    const int own = c * kWarpSize + lane;
    value[c] = own < count ? candidates.values[own] : 0.0f;
    column[c] = own < count ? candidates.columns[own] : 0;
    rank[c] = 0;
  }
  for (int other = 0; other < count; ++other) {
    const float other_value = candidates.values[other];
#pragma unroll
    for (int c = 0; c < kPerLane; ++c) {
      const bool earlier = other < c * kWarpSize + lane;
      rank[c] += other_value > value[c] || (earlier && other_value == value[c]) ? 1 : 0;
    }
  }
  __syncwarp();  // all lanes have read, so the candidates can be sorted in place
#pragma unroll
  for (int c = 0; c < kPerLane; ++c) {
    if (c * kWarpSize + lane >= count) continue;
    candidates.values[rank[c]] = value[c];
    place[c] = rank[c] + leading<true>(values, k, value[c]);
  }
  __syncwarp();  // all lanes have written the sorted candidates
  const int64_t unmoved = leading<true>(values, k, candidates.values[0]);
  for (int64_t last = k; last > unmoved; last -= kWarpSize) {
    const int64_t old_place = last - kWarpSize + lane;
    int64_t new_place = k;
    float moved = 0;
    int64_t index = 0;
    if (old_place >= unmoved) {
      moved = values[old_place];
      index = indices[old_place];
      new_place = old_place + leading<false>(candidates.values, count, moved);
    }
    __syncwarp();  // all lanes have searched the list and read their entries, whose slots are now free
    if (new_place < k) {
      values[new_place] = moved;
      indices[new_place] = index;
    }
  }
#pragma unroll
  for (int c = 0; c < kPerLane; ++c) {
    if (c * kWarpSize + lane >= count || place[c] >= k) continue;
    values[place[c]] = value[c];
    indices[place[c]] = column[c];
  }
  __syncwarp();  // the list is complete, and no lane reads candidates any more
  return values[k - 1];
}

__global__ void __launch_bounds__(kThreads) top_k_kernel(TopK args) {
  SOTALIGN_SHARED(Candidates, buffers, [kWarps]);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize,
            warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int64_t i = int64_t{blockIdx.x} * kWarps + warp;
  if (i >= args.rows) return;  // the whole warp returns; there is no block-wide barrier
  const float* row = args.tile + i * args.tile_stride;
  float* values = args.values + i * args.k;
  int64_t* indices = args.indices + i * args.k;
  Candidates& candidates = buffers[warp];

  const auto entry = [&](int64_t j) {
    return args.corrections != nullptr ? row[j] - args.corrections[j] : row[j];
  };
  float worst = values[args.k - 1];
  int count = 0;
  for (int64_t start = 0; start < args.cols; start += kScan) {
    bool any = false;
#pragma unroll
    for (int s = 0; s < kScan; s += kWarpSize) {
      const int64_t j = start + s + lane;
      // False for NaN, and for -infinity as `worst` is at least that.
      any |= j < args.cols && entry(j) > worst;
    }
    if (!__any_sync(kFullMask, any)) continue;
    const int64_t end = start + kScan < args.cols ? start + kScan : args.cols;
    for (int64_t first = start; first < end; first += kWarpSize) {
      if (count > kCandidates - kWarpSize) {
        worst = merge(candidates, count, values, indices, args.k);
        count = 0;
      }
      const int64_t j = first + lane;
      const float value = j < args.cols ? entry(j) : -std::numeric_limits<float>::infinity();
      const unsigned takers = __ballot_sync(kFullMask, value > worst);
      if (value > worst) {
        const int place = count + __popc(takers & ((1u << lane) - 1));
        candidates.values[place] = value;
        candidates.columns[place] = args.first_col + j;
      }
      count += __popc(takers);
    }
  }
  if (count > 0) merge(candidates, count, values, indices, args.k);
}

}  // namespace

void top_k(const Queue& queue, const TopK& args) {
  launch(queue, "top_k", top_k_kernel, blocks_for(args.rows, kWarps), kThreads, 0, args);
}

}  // namespace sotalign::kernels::cuda
