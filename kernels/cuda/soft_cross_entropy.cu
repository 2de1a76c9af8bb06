// Soft cross-entropy against row softmaxes, one block per row: a pass for the row's log-sum-exp (row_sum.h),
// and one for losses and gradients, each gradient entry written by the thread that read it. A second kernel
// of one block adds the rows' sums in a fixed order. With x = t k - offset, where `offset` is the log-sum-exp
// rounded to float and `rest` the rounding error, log q = x - rest. exp(log_scale) is computed in double,
// since every entry would share its error.
#include "kernels/soft_cross_entropy.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/row_sum.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;  // loads per thread and matrix in flight at a time
constexpr int kTotalThreads = 512;

struct RowSums {
  double loss, slope;  // the loss, and its derivative with respect to t
};
RowSums* carve(Carver& carver, const SoftCrossEntropy& args) { return carver.take<RowSums>(args.rows); }

__device__ __forceinline__ double grad_scale_of(const SoftCrossEntropy& args, double scale) {
  return args.weight * scale / static_cast<double>(args.rows);
}

__global__ void __launch_bounds__(kThreads) rows_kernel(SoftCrossEntropy args, RowSums* row_sums) {
  SOTALIGN_SHARED(float, parameters, [2]);
  SOTALIGN_SHARED(RowSumScratch, scratch, [1]);
  const int64_t i = blockIdx.x;
  const float* k = args.k + i * args.k_stride;
  const float* targets = args.targets + i * args.targets_stride;
  float* grad = args.grad_k + i * args.grad_stride;
  if (threadIdx.x == 0) {
    const double exact_scale = exp(static_cast<double>(*args.log_scale));
    parameters[0] = static_cast<float>(exact_scale);
    parameters[1] = static_cast<float>(grad_scale_of(args, exact_scale));
  }
  __syncthreads();
  const float scale = parameters[0], grad_scale = parameters[1];
  const double log_sum = row_log_sum(k, scale, args.cols, scratch[0]);
  const Row row = split(-log_sum, 0.0);
  const double rest = log_sum + static_cast<double>(row.offset);

  double loss = 0, slope = 0;
  for (int64_t first = threadIdx.x; first < args.cols; first += kThreads * kAtOnce) {
    float cosines[kAtOnce], masses[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int64_t j = first + n * kThreads;
      cosines[n] = j < args.cols ? k[j] : 0.0f;
      masses[n] = j < args.cols ? targets[j] : 0.0f;
    }
    float losses = 0, mass = 0, slopes = 0;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int64_t j = first + n * kThreads;
      if (j >= args.cols) continue;  // no barrier in this loop
      const float x = fmaf(scale, cosines[n], row.offset);
      const float difference = plan_entry(x, row.weight) - masses[n];
      losses = fmaf(masses[n], x, losses);
      mass += masses[n];
      slopes = fmaf(difference, cosines[n], slopes);
      grad[j] = grad_scale * difference;
    }
    loss += rest * static_cast<double>(mass) - static_cast<double>(losses);
    slope += static_cast<double>(slopes);
  }
  loss = block_sum(loss, scratch[0].sums);
  slope = block_sum(slope, scratch[0].sums);
  if (threadIdx.x == 0) row_sums[i] = {loss, slope};
}

__global__ void __launch_bounds__(kTotalThreads)
    totals_kernel(SoftCrossEntropy args, const RowSums* row_sums) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  double loss = 0, slope = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < args.rows; i += kTotalThreads) {
    const RowSums row = row_sums[i];
    loss += row.loss;
    slope += row.slope;
  }
  loss = block_sum(loss, scratch);
  slope = block_sum(slope, scratch);
  if (threadIdx.x == 0) {
    *args.value = loss / static_cast<double>(args.rows);
    const double gradient = grad_scale_of(args, exp(static_cast<double>(*args.log_scale))) * slope;
    *args.grad_log_scale = static_cast<float>(
        gradient + (args.add_grad_log_scale ? static_cast<double>(*args.grad_log_scale) : 0.0));
  }
}

}  // namespace

size_t soft_cross_entropy_scratch(const Queue&, const SoftCrossEntropy& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void soft_cross_entropy(const Queue& queue, const SoftCrossEntropy& args) {
  Carver carver(args.scratch);
  RowSums* row_sums = carve(carver, args);
  launch(queue, "soft_cross_entropy: rows", rows_kernel, static_cast<unsigned>(args.rows), kThreads, 0, args,
         row_sums);
  launch(queue, "soft_cross_entropy: totals", totals_kernel, 1, kTotalThreads, 0, args, row_sums);
}

}  // namespace sotalign::kernels::cuda
