// SigLIP in one pass: one block per row reads its logits once and writes their gradients once; a second
// kernel of one block adds the rows' sums in a fixed order. Every entry of a row except the pair is a
// negative with loss softplus(x) and slope sigmoid(x), both from e = exp(-|x|):
//   softplus(x) = max(x, 0) + log1p(e),   sigmoid(x) = 1/(1 + e) for x >= 0 and e/(1 + e) below.
// One logarithm serves kAtOnce entries: prod(1 + e_j) - 1 is accumulated as s <- s + e (1 + s), which loses
// nothing when every e is tiny, the usual case with a bias of -10. Sums over these entries are in float, then
// in double. One thread computes the pair, often most of a row's loss, in double, and also exp(log_scale),
// whose error all logits would share.
#include "kernels/siglip.h"

#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kAtOnce = 8;  // loads per thread in flight at a time
constexpr int kTotalThreads = 512;

__device__ __forceinline__ double grad_scale_of(const Siglip& args, double scale) {
  return args.weight * scale / static_cast<double>(args.pairs);
}

__global__ void __launch_bounds__(kThreads) siglip_rows_kernel(Siglip args) {
  SOTALIGN_SHARED(float, parameters, [3]);
  SOTALIGN_SHARED(double, sums_of_warps, [3][kWarps]);
  const int64_t i = blockIdx.x;
  const int64_t pair = i < args.pairs ? i : -1;
  const float* k = args.k + i * args.k_stride;
  float* grad = args.grad_k + i * args.grad_stride;
  double sums[3] = {};  // losses, slopes, and slopes times K

  if (threadIdx.x == 0) {
    const double exact_scale = exp(static_cast<double>(*args.log_scale)), exact_bias = *args.bias;
    const double exact_grad_scale = grad_scale_of(args, exact_scale);
    parameters[0] = static_cast<float>(exact_scale);
    parameters[1] = static_cast<float>(exact_bias);
    parameters[2] = static_cast<float>(exact_grad_scale);
    if (pair >= 0) {
      const double cosine = k[pair], x = exact_scale * cosine + exact_bias;
      const double e = exp(-fabs(x));
      const double slope = -(x > 0 ? e : 1.0) / (1.0 + e);
      sums[0] = (x > 0 ? 0.0 : -x) + log1p(e);
      sums[1] = slope;
      sums[2] = slope * cosine;
      grad[pair] = static_cast<float>(slope * exact_grad_scale);
    }
  }
  __syncthreads();
  const float scale = parameters[0], bias = parameters[1], grad_scale = parameters[2];

  for (int64_t first = threadIdx.x; first < args.cols; first += kThreads * kAtOnce) {
    float entries[kAtOnce];
#pragma unroll
    for (int e = 0; e < kAtOnce; ++e) {
      const int64_t j = first + e * kThreads;
      entries[e] = j < args.cols && j != pair ? k[j] : 0.0f;
    }
    float excess = 0, positive_part = 0, slopes = 0, slopes_k = 0;
#pragma unroll
    for (int e = 0; e < kAtOnce; ++e) {
      const int64_t j = first + e * kThreads;
      const bool negative = j < args.cols && j != pair;
      // The pair and out-of-range entries get a logit so low that they add nothing.
      const float x = negative ? fmaf(scale, entries[e], bias) : -1e30f;
      const float decay = expf(-fabsf(x));
      excess = fmaf(decay, 1.0f + excess, excess);
      positive_part += x < 0.0f ? 0.0f : x;  // fmaxf would lose a NaN
      const float slope = (x < 0.0f ? decay : 1.0f) / (1.0f + decay);
      slopes += slope;
      slopes_k = fmaf(slope, entries[e], slopes_k);
      if (negative) grad[j] = slope * grad_scale;
    }
    sums[0] += static_cast<double>(positive_part + log1pf(excess));
    sums[1] += static_cast<double>(slopes);
    sums[2] += static_cast<double>(slopes_k);
  }

  const int lane = static_cast<int>(threadIdx.x) % kWarpSize,
            warp = static_cast<int>(threadIdx.x) / kWarpSize;
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    sums[s] = warp_sum(sums[s]);
    if (lane == 0) sums_of_warps[s][warp] = sums[s];
  }
  __syncthreads();
  if (threadIdx.x < 3) {
    double sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += sums_of_warps[threadIdx.x][w];
    args.scratch[3 * i + threadIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kTotalThreads) siglip_totals_kernel(Siglip args) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  double totals[3] = {};
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < args.rows; i += kTotalThreads) {
#pragma unroll
    for (int s = 0; s < 3; ++s) totals[s] += args.scratch[3 * i + s];
  }
#pragma unroll
  for (int s = 0; s < 3; ++s) totals[s] = block_sum(totals[s], scratch);
  if (threadIdx.x == 0) {
    const double pairs = static_cast<double>(args.pairs);
    *args.value = totals[0] / pairs;
    const float grad_bias = static_cast<float>(args.weight * totals[1] / pairs);
    *args.grad_bias = (args.add_grad_parameters ? *args.grad_bias : 0.0f) + grad_bias;
    const double grad_scale = grad_scale_of(args, exp(static_cast<double>(*args.log_scale)));
    const float grad_log_scale = static_cast<float>(grad_scale * totals[2]);
    *args.grad_log_scale = (args.add_grad_parameters ? *args.grad_log_scale : 0.0f) + grad_log_scale;
  }
}

}  // namespace

void siglip(const Queue& queue, const Siglip& args) {
  launch(queue, "siglip: rows", siglip_rows_kernel, static_cast<unsigned>(args.rows), kThreads, 0, args);
  launch(queue, "siglip: totals", siglip_totals_kernel, 1, kTotalThreads, 0, args);
}

}  // namespace sotalign::kernels::cuda
