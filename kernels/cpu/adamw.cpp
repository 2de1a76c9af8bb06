// One pass: reads four arrays and writes three. Threads share the entries evenly.
#include "kernels/adamw.h"

#include <cmath>

namespace sotalign::kernels::cpu {

void adamw(const Queue& queue, const AdamW& args) {
  const double step = static_cast<double>(args.step);
  const float beta1 = static_cast<float>(args.beta1), rest1 = static_cast<float>(1 - args.beta1);
  const float beta2 = static_cast<float>(args.beta2), rest2 = static_cast<float>(1 - args.beta2);
  const float rate = static_cast<float>(args.learning_rate / (1 - std::pow(args.beta1, step)));
  const float root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, step)));
  const float epsilon = static_cast<float>(args.epsilon);
  const auto update = [&](int64_t first, int64_t last, float decay) {
#pragma omp parallel for simd num_threads(queue.threads) schedule(static)
    for (int64_t i = first; i < last; ++i) {
      const float g = args.gradients[i];
      const float m = beta1 * args.mean[i] + rest1 * g;
      const float v = beta2 * args.square_mean[i] + rest2 * g * g;
      args.mean[i] = m;
      args.square_mean[i] = v;
      // Not w (1 - decay): 1 - 1e-9, the usual value, is 1 in float.
      const float shrink = decay * args.weights[i];
      args.weights[i] -= shrink + rate * m / (std::sqrt(v) * root_scale + epsilon);
    }
  };
  update(0, args.decayed_count, static_cast<float>(args.learning_rate * args.weight_decay));
  update(args.decayed_count, args.count, 0.0f);
}

}  // namespace sotalign::kernels::cpu
