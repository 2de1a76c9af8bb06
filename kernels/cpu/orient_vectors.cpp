// Two parallel loops: over the rows, to find and apply their signs, and over the rows of `columns`, to apply
// them there.
#include "kernels/orient_vectors.h"

#include <algorithm>
#include <cmath>

namespace sotalign::kernels::cpu {

namespace {
double sign_of(const double* v, int64_t size) {
  double largest = 0;
  for (int64_t j = 0; j < size; ++j) largest = std::max(largest, std::abs(v[j]));
  for (int64_t j = 0; j < size; ++j)
    if (std::abs(v[j]) >= largest * (1 - 1e-6)) return v[j] < 0 ? -1.0 : 1.0;
  return 1.0;
}
}  // namespace

void orient_vectors(const Queue& queue, const OrientVectors& args) {
#pragma omp parallel num_threads(queue.threads)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < args.count; ++i) {
      double* row = args.rows + i * args.rows_stride;
      args.signs[i] = sign_of(row, args.row_size);
      for (int64_t j = 0; j < args.row_size; ++j) row[j] *= args.signs[i];
    }
    if (args.columns != nullptr) {
#pragma omp for schedule(static)
      for (int64_t j = 0; j < args.column_size; ++j) {
        double* row = args.columns + j * args.columns_stride;
        for (int64_t i = 0; i < args.count; ++i) row[i] *= args.signs[i];
      }
    }
  }
}

}  // namespace sotalign::kernels::cpu
