// One pass; each thread owns whole rows.
#include "kernels/scale_matrix.h"

namespace sotalign::kernels::cpu {

namespace {
template <class T>
void scale(const Queue& queue, const ScaleMatrix<T>& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const double* x = args.x + i * args.x_stride;
    T* y = args.y + i * args.y_stride;
    const double row = args.row_factors != nullptr ? args.row_factors[i] : 1.0;
    if (args.column_factors != nullptr)
      for (int64_t j = 0; j < args.cols; ++j) y[j] = static_cast<T>(row * x[j] * args.column_factors[j]);
    else
      for (int64_t j = 0; j < args.cols; ++j) y[j] = static_cast<T>(row * x[j]);
  }
}
}  // namespace

void scale_matrix(const Queue& queue, const ScaleMatrix<float>& args) { scale(queue, args); }
void scale_matrix(const Queue& queue, const ScaleMatrix<double>& args) { scale(queue, args); }

}  // namespace sotalign::kernels::cpu
