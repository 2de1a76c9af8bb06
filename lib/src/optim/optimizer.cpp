#include "sotalign/optim/optimizer.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/adamw.h"
#include "kernels/lion.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign {

Optimizer::Optimizer(Context& context, int64_t size, const OptimizerOptions& options)
    : context_(&context),
      size_(size),
      kind_(options.kind),
      beta1_(options.beta1.value_or(0.9)),
      beta2_(options.beta2.value_or(kind_ == OptimizerKind::kLion ? 0.99 : 0.999)),
      epsilon_(options.epsilon),
      weight_decay_(options.weight_decay) {
  if (size < 0) throw InvalidArgument(fmt::format("optimizer: size, expected at least 0, found {}", size));
  // Written so that NaN is rejected, too.
  if (!(beta1_ >= 0 && beta1_ < 1))
    throw InvalidArgument(fmt::format("optimizer: beta1, expected 0 <= beta1 < 1, found {}", beta1_));
  if (!(beta2_ >= 0 && beta2_ < 1))
    throw InvalidArgument(fmt::format("optimizer: beta2, expected 0 <= beta2 < 1, found {}", beta2_));
  if (!(epsilon_ > 0 && std::isfinite(epsilon_)))
    throw InvalidArgument(fmt::format("optimizer: epsilon, expected a positive number, found {}", epsilon_));
  if (!(weight_decay_ >= 0 && std::isfinite(weight_decay_)))
    throw InvalidArgument(
        fmt::format("optimizer: weight_decay, expected 0 or a positive number, found {}", weight_decay_));
  mean_ = Buffer<float>(context, size, "optimizer state");
  if (kind_ == OptimizerKind::kAdamW) square_mean_ = Buffer<float>(context, size, "optimizer state");
}

int64_t Optimizer::memory_bytes(int64_t size, OptimizerKind kind) {
  return checked_product("optimizer state", size, (kind == OptimizerKind::kAdamW ? 2 : 1) * sizeof(float));
}

void Optimizer::step(float* weights, const float* gradients, int64_t count, int64_t decayed_count,
                     double learning_rate) {
  if (count != size_)
    throw InvalidArgument(fmt::format("optimizer: count, expected {} parameters, found {}", size_, count));
  if (decayed_count < 0 || decayed_count > count)
    throw InvalidArgument(
        fmt::format("optimizer: decayed_count, expected 0 to {}, found {}", count, decayed_count));
  check_rate(learning_rate);
  ++steps_;
  update(weights, gradients, 0, count, decayed_count, learning_rate);
}

void Optimizer::step(float* weights, const float* gradients, const std::vector<ParameterRange>& ranges,
                     double learning_rate) {
  check_rate(learning_rate);
  for (const ParameterRange& range : ranges) {
    if (range.first < 0 || range.count < 0 || range.count > size_ - range.first)
      throw InvalidArgument(
          fmt::format("optimizer: range, expected a part of {} parameters, found {} from {} on", size_,
                      range.count, range.first));
    if (!(range.rate >= 0 && std::isfinite(range.rate)))
      throw InvalidArgument(
          fmt::format("optimizer: rate, expected 0 or a positive number, found {}", range.rate));
  }
  ++steps_;
  for (const ParameterRange& range : ranges)
    update(weights, gradients, range.first, range.count, range.decay ? range.count : 0,
           learning_rate * range.rate);
}

void Optimizer::check_rate(double learning_rate) const {
  if (!(learning_rate >= 0 && std::isfinite(learning_rate)))
    throw InvalidArgument(
        fmt::format("optimizer: learning_rate, expected 0 or a positive number, found {}", learning_rate));
}

void Optimizer::update(float* weights, const float* gradients, int64_t first, int64_t count,
                       int64_t decayed_count, double learning_rate) {
  if (kind_ == OptimizerKind::kLion)
    kernels::lion(context_->queue(), {.weights = weights + first,
                                      .gradients = gradients + first,
                                      .momentum = mean_.data() + first,
                                      .count = count,
                                      .decayed_count = decayed_count,
                                      .learning_rate = learning_rate,
                                      .beta1 = beta1_,
                                      .beta2 = beta2_,
                                      .weight_decay = weight_decay_});
  else
    kernels::adamw(context_->queue(), {.weights = weights + first,
                                       .gradients = gradients + first,
                                       .mean = mean_.data() + first,
                                       .square_mean = square_mean_.data() + first,
                                       .count = count,
                                       .decayed_count = decayed_count,
                                       .step = steps_,
                                       .learning_rate = learning_rate,
                                       .beta1 = beta1_,
                                       .beta2 = beta2_,
                                       .epsilon = epsilon_,
                                       .weight_decay = weight_decay_});
}

void Optimizer::set_steps(int64_t steps) {
  if (steps < 0) throw InvalidArgument(fmt::format("optimizer: steps, expected at least 0, found {}", steps));
  steps_ = steps;
}

std::vector<OptimizerState> Optimizer::state() {
  if (kind_ == OptimizerKind::kLion) return {{"momentum", &mean_}};
  return {{"mean", &mean_}, {"square_mean", &square_mean_}};
}

}  // namespace sotalign
