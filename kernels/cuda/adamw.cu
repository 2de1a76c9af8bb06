// One pass: reads four arrays and writes three, so the kernel is memory bound. Each thread updates four
// entries, a block width apart, and issues all loads before its first store, as in lion.cu. Rounds as the CPU
// does.
#include "kernels/adamw.h"

#include <cmath>

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256, kEntries = 4;

struct Step {
  float* weights;
  const float* gradients;
  float* mean;
  float* square_mean;
  int64_t count, decayed_count;
  float rate, root_scale, beta1, rest1, beta2, rest2, epsilon, decay;
};

__global__ void __launch_bounds__(kThreads) adamw_kernel(Step step) {
  const int64_t first = int64_t{blockIdx.x} * (kThreads * kEntries) + threadIdx.x;
  float w[kEntries], g[kEntries], m[kEntries], v[kEntries];
#pragma unroll
  for (int e = 0; e < kEntries; ++e) {
    const int64_t i = first + e * kThreads;
    const bool inside = i < step.count;
    w[e] = inside ? step.weights[i] : 0.0f;
    g[e] = inside ? step.gradients[i] : 0.0f;
    m[e] = inside ? step.mean[i] : 0.0f;
    v[e] = inside ? step.square_mean[i] : 0.0f;
  }
#pragma unroll
  for (int e = 0; e < kEntries; ++e) {
    const int64_t i = first + e * kThreads;
    if (i >= step.count) continue;
    const float mean = __fadd_rn(__fmul_rn(step.beta1, m[e]), __fmul_rn(step.rest1, g[e]));
    const float square_mean =
        __fadd_rn(__fmul_rn(step.beta2, v[e]), __fmul_rn(__fmul_rn(step.rest2, g[e]), g[e]));
    const float root = __fadd_rn(__fmul_rn(sqrtf(square_mean), step.root_scale), step.epsilon);
    // Not w (1 - decay): 1 - 1e-9, the usual value, is 1 in float.
    const float shrink = __fmul_rn(i < step.decayed_count ? step.decay : 0.0f, w[e]);
    step.mean[i] = mean;
    step.square_mean[i] = square_mean;
    step.weights[i] = __fadd_rn(w[e], -__fadd_rn(shrink, __fmul_rn(step.rate, mean) / root));
  }
}

}  // namespace

void adamw(const Queue& queue, const AdamW& args) {
  const double t = static_cast<double>(args.step);
  const Step step{.weights = args.weights,
                  .gradients = args.gradients,
                  .mean = args.mean,
                  .square_mean = args.square_mean,
                  .count = args.count,
                  .decayed_count = args.decayed_count,
                  .rate = static_cast<float>(args.learning_rate / (1 - std::pow(args.beta1, t))),
                  .root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, t))),
                  .beta1 = static_cast<float>(args.beta1),
                  .rest1 = static_cast<float>(1 - args.beta1),
                  .beta2 = static_cast<float>(args.beta2),
                  .rest2 = static_cast<float>(1 - args.beta2),
                  .epsilon = static_cast<float>(args.epsilon),
                  .decay = static_cast<float>(args.learning_rate * args.weight_decay)};
  launch(queue, "adamw", adamw_kernel, blocks_for(args.count, kThreads * kEntries), kThreads, 0, step);
}

}  // namespace sotalign::kernels::cuda
