// One pass: reads three arrays and writes two, so the kernel is memory bound. Each thread updates four
// entries, a block width apart, and issues all loads before its first store: enough bytes in flight without
// requiring alignment. Rounds as the CPU does: a fused multiply-add could flip the sign of c.
#include "kernels/lion.h"

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256, kEntries = 4;

struct Step {
  float* weights;
  const float* gradients;
  float* momentum;
  int64_t count, decayed_count;
  float rate, beta1, rest1, beta2, rest2, decay;
};

__global__ void __launch_bounds__(kThreads) lion_kernel(Step step) {
  const int64_t first = int64_t{blockIdx.x} * (kThreads * kEntries) + threadIdx.x;
  float w[kEntries], g[kEntries], m[kEntries];
#pragma unroll
  for (int e = 0; e < kEntries; ++e) {
    const int64_t i = first + e * kThreads;
    const bool inside = i < step.count;
    w[e] = inside ? step.weights[i] : 0.0f;
    g[e] = inside ? step.gradients[i] : 0.0f;
    m[e] = inside ? step.momentum[i] : 0.0f;
  }
#pragma unroll
  for (int e = 0; e < kEntries; ++e) {
    const int64_t i = first + e * kThreads;
    if (i >= step.count) continue;
    const float c = __fadd_rn(__fmul_rn(step.beta1, m[e]), __fmul_rn(step.rest1, g[e]));
    const float sign = c > 0 ? 1.0f : c < 0 ? -1.0f : c;  // c itself, to keep a NaN
    const float decay = i < step.decayed_count ? step.decay : 0.0f;
    step.weights[i] = __fadd_rn(w[e], -__fmul_rn(step.rate, __fadd_rn(sign, __fmul_rn(decay, w[e]))));
    step.momentum[i] = __fadd_rn(__fmul_rn(step.beta2, m[e]), __fmul_rn(step.rest2, g[e]));
  }
}

}  // namespace

void lion(const Queue& queue, const Lion& args) {
  const Step step{.weights = args.weights,
                  .gradients = args.gradients,
                  .momentum = args.momentum,
                  .count = args.count,
                  .decayed_count = args.decayed_count,
                  .rate = static_cast<float>(args.learning_rate),
                  .beta1 = static_cast<float>(args.beta1),
                  .rest1 = static_cast<float>(1 - args.beta1),
                  .beta2 = static_cast<float>(args.beta2),
                  .rest2 = static_cast<float>(1 - args.beta2),
                  .decay = static_cast<float>(args.weight_decay)};
  launch(queue, "lion", lion_kernel, blocks_for(args.count, kThreads * kEntries), kThreads, 0, step);
}

}  // namespace sotalign::kernels::cuda
