// Optimizers on a flat array of parameters: Lion and AdamW, both with decoupled weight decay.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace sotalign {

enum class OptimizerKind { kLion, kAdamW };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kLion;
  /// Decay rate of the mean of the gradients; 0.9 if not given.
  std::optional<double> beta1 = std::nullopt;
  /// Lion: decay rate of the momentum that is kept, 0.99 if not given. AdamW: of the mean of the squared
  /// gradients, 0.999 if not given.
  std::optional<double> beta2 = std::nullopt;
  /// Added to AdamW's denominator; Lion has none.
  double epsilon = 1e-8;
  /// Each step multiplies decayed parameters by 1 - learning rate * weight_decay.
  double weight_decay = 1e-5;
};

/// Consecutive parameters that are stepped alike.
struct ParameterRange {
  int64_t first = 0, count = 0;
  bool decay = true;
  double rate = 1.0;  ///< multiplies the learning rate
};

/// A named part of an optimizer's state, in the memory of its context.
struct OptimizerState {
  std::string name;
  Buffer<float>* values;
};

class Optimizer {
 public:
  /// For `size` parameters. The context outlives the optimizer.
  Optimizer(Context& context, int64_t size, const OptimizerOptions& options = {});

  /// One step; allocates nothing. The formulas are in kernels/lion.h and kernels/adamw.h.
  /// @param weights [count], updated, @param gradients [count]; both in the memory of the context
  /// @param count the size given to the constructor
  /// @param decayed_count parameters from here on (biases, the logit scale) have no weight decay
  void step(float* weights, const float* gradients, int64_t count, int64_t decayed_count,
            double learning_rate);
  /// The same with a learning rate for each range. What lies in no range stays as it is.
  void step(float* weights, const float* gradients, const std::vector<ParameterRange>& ranges,
            double learning_rate);

  /// Steps done so far. With state() it is all that a checkpoint holds.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps);
  /// Lion: "momentum". AdamW: "mean", "square_mean". `size` values each; the pointers live as long as this
  /// object stays where it is.
  std::vector<OptimizerState> state();

 private:
  void check_rate(double learning_rate) const;
  /// Of the step steps_, on parameters from `first` on.
  void update(float* weights, const float* gradients, int64_t first, int64_t count, int64_t decayed_count,
              double learning_rate);

  Context* context_;
  int64_t size_;
  OptimizerKind kind_;
  double beta1_, beta2_, epsilon_, weight_decay_;
  int64_t steps_ = 0;
  Buffer<float> mean_;
  Buffer<float> square_mean_;
};

}  // namespace sotalign
