// One block per row. It finds the largest magnitude; then each thread finds its first component within 1e-6
// of it, and the first position in the block decides. The row is read twice, the second time from cache, and
// written only if its sign changes. The columns are a scaled matrix (scale_matrix.h).
#include "kernels/orient_vectors.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/scale_matrix.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kNowhere = INT64_MAX;

struct Minimum {
  __device__ __forceinline__ int64_t operator()(int64_t a, int64_t b) const { return b < a ? b : a; }
};

__global__ void __launch_bounds__(kThreads) orient_vectors_kernel(OrientVectors args) {
  SOTALIGN_SHARED(double, magnitudes, [kMaxWarps]);
  SOTALIGN_SHARED(int64_t, places, [kMaxWarps]);
  double* row = args.rows + int64_t{blockIdx.x} * args.rows_stride;

  double largest = 0;  // skips a NaN
  for (int64_t j = threadIdx.x; j < args.row_size; j += kThreads)
    if (fabs(row[j]) > largest) largest = fabs(row[j]);
  largest = block_reduce(largest, magnitudes, 0.0, Maximum{});

  // The lowest bit carries the sign: reading it from the row afterwards would race with the update.
  int64_t place = kNowhere;
  for (int64_t j = threadIdx.x; j < args.row_size && place == kNowhere; j += kThreads)
    if (fabs(row[j]) >= largest * (1 - 1e-6)) place = 2 * j + (row[j] < 0);
  place = block_reduce(place, places, kNowhere, Minimum{});

  const bool negative = place != kNowhere && place % 2 == 1;
  if (threadIdx.x == 0) args.signs[blockIdx.x] = negative ? -1.0 : 1.0;
  if (negative)
    for (int64_t j = threadIdx.x; j < args.row_size; j += kThreads) row[j] = -row[j];
}

}  // namespace

void orient_vectors(const Queue& queue, const OrientVectors& args) {
  launch(queue, "orient_vectors", orient_vectors_kernel, static_cast<unsigned>(args.count), kThreads, 0,
         args);
  if (args.columns != nullptr)
    cuda::scale_matrix(queue, ScaleMatrix<double>{.x = args.columns,
                                                  .x_stride = args.columns_stride,
                                                  .column_factors = args.signs,
                                                  .y = args.columns,
                                                  .y_stride = args.columns_stride,
                                                  .rows = args.column_size,
                                                  .cols = args.count});
}

}  // namespace sotalign::kernels::cuda
