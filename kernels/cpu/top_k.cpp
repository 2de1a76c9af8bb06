// Each thread owns whole rows. One vectorised comparison skips a block of columns without a candidate, soon
// nearly all of them; candidates are inserted into the sorted list.
#include "kernels/top_k.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

namespace {
constexpr int64_t kBlock = 64;  // columns

void insert(float value, int64_t index, int64_t k, float* values, int64_t* indices) {
  int64_t place = k - 1;
  // Strictly smaller: an equal value found earlier has the smaller index and stays in front.
  for (; place > 0 && values[place - 1] < value; --place) {
    values[place] = values[place - 1];
    indices[place] = indices[place - 1];
  }
  values[place] = value;
  indices[place] = index;
}
}  // namespace

void top_k(const Queue& queue, const TopK& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* row = args.tile + i * args.tile_stride;
    float* values = args.values + i * args.k;
    int64_t* indices = args.indices + i * args.k;
    float corrected[kBlock];
    for (int64_t first = 0; first < args.cols; first += kBlock) {
      const int64_t count = std::min(kBlock, args.cols - first);
      const float* scores = row + first;
      if (args.corrections != nullptr) {
        for (int64_t j = 0; j < count; ++j) corrected[j] = scores[j] - args.corrections[first + j];
        scores = corrected;
      }
      const float worst = values[args.k - 1];
      int32_t candidates = 0;
#pragma omp simd reduction(+ : candidates)
      for (int64_t j = 0; j < count; ++j) candidates += scores[j] > worst ? 1 : 0;
      if (candidates == 0) continue;
      for (int64_t j = 0; j < count; ++j)
        if (scores[j] > values[args.k - 1])
          insert(scores[j], args.first_col + first + j, args.k, values, indices);
    }
  }
}

}  // namespace sotalign::kernels::cpu
