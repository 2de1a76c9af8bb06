// Each thread owns whole rows. Lengths and inner products are summed in double: with a thousand columns a
// float sum would cost two digits of the cosine.
#include "kernels/normalize_rows.h"

#include <cmath>

namespace sotalign::kernels::cpu {

namespace {
double dot(const float* a, const float* b, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; ++j) sum += static_cast<double>(a[j]) * static_cast<double>(b[j]);
  return sum;
}
}  // namespace

void normalize_rows(const Queue& queue, const NormalizeRows& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    float* y = args.y + i * args.y_stride;
    const double norm = std::sqrt(dot(x, x, args.cols));
    const float scale = norm >= kShortestRow ? static_cast<float>(1.0 / norm) : 0.0f;
    for (int64_t j = 0; j < args.cols; ++j) y[j] = x[j] * scale;
    if (args.norms != nullptr) args.norms[i] = norm < kShortestRow ? 0.0f : static_cast<float>(norm);
  }
}

void normalize_rows_backward(const Queue& queue, const NormalizeRowsBackward& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* y = args.y + i * args.y_stride;
    const float* dy = args.dy + i * args.dy_stride;
    float* dx = args.dx + i * args.dx_stride;
    const float inner = static_cast<float>(dot(y, dy, args.cols));
    const float scale = args.norms[i] > 0 ? 1.0f / args.norms[i] : 0.0f;
    for (int64_t j = 0; j < args.cols; ++j) dx[j] = (dy[j] - y[j] * inner) * scale;
  }
}

}  // namespace sotalign::kernels::cpu
