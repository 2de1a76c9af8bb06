// One pass: reads three arrays and writes two. Threads share the entries evenly.
#include "kernels/lion.h"

namespace sotalign::kernels::cpu {

void lion(const Queue& queue, const Lion& args) {
  const float beta1 = static_cast<float>(args.beta1), rest1 = static_cast<float>(1 - args.beta1);
  const float beta2 = static_cast<float>(args.beta2), rest2 = static_cast<float>(1 - args.beta2);
  const float rate = static_cast<float>(args.learning_rate);
  const auto update = [&](int64_t first, int64_t last, float decay) {
#pragma omp parallel for simd num_threads(queue.threads) schedule(static)
    for (int64_t i = first; i < last; ++i) {
      const float g = args.gradients[i], m = args.momentum[i];
      const float c = beta1 * m + rest1 * g;
      const float sign = c > 0 ? 1.0f : c < 0 ? -1.0f : c;  // c itself, to keep a NaN
      args.weights[i] -= rate * (sign + decay * args.weights[i]);
      args.momentum[i] = beta2 * m + rest2 * g;
    }
  };
  update(0, args.decayed_count, static_cast<float>(args.weight_decay));
  update(args.decayed_count, args.count, 0.0f);
}

}  // namespace sotalign::kernels::cpu
