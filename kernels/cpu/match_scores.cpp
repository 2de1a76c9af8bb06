// Each thread takes whole queries and walks through their groups.
#include "kernels/match_scores.h"

#include <cmath>
#include <limits>

namespace sotalign::kernels::cpu {

void match_scores(const Queue& queue, const MatchScores& args) {
  // Groups differ in size, hence dynamic.
#pragma omp parallel for num_threads(queue.threads) schedule(dynamic, 16)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* query = args.queries + i * args.queries_stride;
    float best = std::numeric_limits<float>::quiet_NaN();
    for (int64_t l = args.offsets[args.groups[i]]; l < args.offsets[args.groups[i] + 1]; ++l) {
      const float* row = args.gallery + args.members[l] * args.gallery_stride;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < args.cols; ++j) sum += static_cast<double>(query[j]) * row[j];
      if (args.corrections != nullptr) sum -= static_cast<double>(args.corrections[args.members[l]]);
      best = std::fmax(best, static_cast<float>(sum));  // fmax prefers numbers to NaN
    }
    args.best[i] = best;
  }
}

}  // namespace sotalign::kernels::cpu
