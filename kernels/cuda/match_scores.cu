// One warp per query; it walks through the query's group, and its lanes share the columns of each inner
// product. If each gallery row matches one query, the gallery is read once in total. Lane l adds every
// 32nd column from l on in order, and the warp adds the lanes as a tree, so a query's score does not depend
// on other queries.
#include "kernels/match_scores.h"

#include <limits>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarpSize;

__global__ void __launch_bounds__(kThreads) match_scores_kernel(MatchScores args) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t i = int64_t{blockIdx.x} * kWarps + static_cast<int>(threadIdx.x) / kWarpSize;
  if (i >= args.rows) return;  // the whole warp returns; there is no block-wide barrier
  const float* query = args.queries + i * args.queries_stride;
  const int32_t group = args.groups[i];
  const int64_t last = args.offsets[group + 1];
  float best = std::numeric_limits<float>::quiet_NaN();
  for (int64_t l = args.offsets[group]; l < last; ++l) {
    const float* row = args.gallery + args.members[l] * args.gallery_stride;
    double sum = 0;
#pragma unroll 4
    for (int64_t j = lane; j < args.cols; j += kWarpSize) sum += static_cast<double>(query[j]) * row[j];
    sum = warp_sum(sum);
    if (args.corrections != nullptr) sum -= static_cast<double>(args.corrections[args.members[l]]);
    best = fmaxf(best, static_cast<float>(sum));  // fmaxf prefers numbers to NaN
  }
  if (lane == 0) args.best[i] = best;
}

}  // namespace

void match_scores(const Queue& queue, const MatchScores& args) {
  launch(queue, "match_scores", match_scores_kernel, blocks_for(args.rows, kWarps), kThreads, 0, args);
}

}  // namespace sotalign::kernels::cuda
