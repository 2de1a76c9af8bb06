// One pass; each thread copies whole rows.
#include "kernels/gather_rows.h"

#include <algorithm>

namespace sotalign::kernels::cpu {

void gather_rows(const Queue& queue, const GatherRows& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i)
    std::copy_n(args.x + args.index[i] * args.x_stride, args.cols, args.y + i * args.y_stride);
}

}  // namespace sotalign::kernels::cpu
