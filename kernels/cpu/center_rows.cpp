// One pass; each thread owns whole rows.
#include "kernels/center_rows.h"

namespace sotalign::kernels::cpu {

namespace {
template <class T>
void center(const Queue& queue, const CenterRows<T>& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    T* y = args.y + i * args.y_stride;
    // Safe in place: each vector of x is read before y overwrites it.
#pragma omp simd
    for (int64_t j = 0; j < args.cols; ++j) y[j] = static_cast<T>(x[j]) - args.mean[j];
  }
}
}  // namespace

void center_rows(const Queue& queue, const CenterRows<float>& args) { center(queue, args); }
void center_rows(const Queue& queue, const CenterRows<double>& args) { center(queue, args); }

}  // namespace sotalign::kernels::cpu
