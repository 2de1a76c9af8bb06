// One pass over S. Each thread owns a block of columns and walks down all rows with the columns' counters in
// L1. It adds its row counts atomically; integer adds are exact, so their order does not matter.
#include "kernels/retrieval_rank.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

namespace {
constexpr int64_t kBlock = 1024;  // columns: what a block needs of them fits in L1
}

void retrieval_rank(const Queue& queue, const RetrievalRank& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t first = 0; first < args.cols; first += kBlock) {
    const int64_t count = std::min(kBlock, args.cols - first);
    const int32_t* groups = args.col_groups + first;
    float thresholds[kBlock], corrections[kBlock] = {};
    int32_t counters[kBlock] = {};
    for (int64_t j = 0; j < count; ++j) thresholds[j] = args.col_best[first + j] - args.margin;
    if (args.col_corrections != nullptr) std::copy_n(args.col_corrections + first, count, corrections);
    for (int64_t i = 0; i < args.rows; ++i) {
      const float* scores = args.scores + i * args.scores_stride + first;
      const float threshold = args.row_best[i] - args.margin;
      const float correction = args.row_corrections != nullptr ? args.row_corrections[i] : 0.0f;
      const int32_t group = args.row_groups[i];
      int32_t row_counter = 0;
#pragma omp simd reduction(+ : row_counter)
      for (int64_t j = 0; j < count; ++j) {
        const int32_t wrong = groups[j] != group ? 1 : 0;
        row_counter += scores[j] - corrections[j] < threshold ? 0 : wrong;
        counters[j] += scores[j] - correction < thresholds[j] ? 0 : wrong;
      }
#pragma omp atomic
      args.row_counts[i] += row_counter;
    }
    for (int64_t j = 0; j < count; ++j) args.col_counts[first + j] += counters[j];
  }
}

}  // namespace sotalign::kernels::cpu
