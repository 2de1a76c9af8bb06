// Optimizers on a flat array of parameters: Lion and AdamW, both with decoupled weight decay.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The update rule.
enum class OptimizerKind { kLion, kAdamW };

/// The settings of an optimizer.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kLion;
  /// Decay rate of the running mean of the gradients; default 0.9.
  std::optional<double> beta1 = std::nullopt;
  /// Lion: decay rate of the stored momentum; default 0.99. AdamW: decay rate of the running mean of the
  /// squared gradients; default 0.999.
  std::optional<double> beta2 = std::nullopt;
  /// Added to the denominator of AdamW; Lion does not use it.
  double epsilon = 1e-8;
  /// Each step multiplies decayed parameters by 1 - learning rate * weight_decay.
  double weight_decay = 1e-5;
};

/// Consecutive parameters with the same decay and learning rate.
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

/// Lion (Chen et al. 2023) or AdamW (Loshchilov and Hutter 2019), with its state.
class Optimizer {
 public:
  /// For `size` parameters. The context must outlive the optimizer. Throws InvalidArgument for options out of
  /// range.
  Optimizer(Context& context, int64_t size, const OptimizerOptions& options = {});
  /// Bytes that such an optimizer allocates.
  static int64_t memory_bytes(int64_t size, OptimizerKind kind);

  /// One step with learning rate r; allocates nothing. For weights w, gradients g and weight decay d:
  ///   Lion   w <- w - r (sign(beta1 m + (1 - beta1) g) + d w), then m <- beta2 m + (1 - beta2) g
  ///   AdamW  as torch.optim.AdamW computes it
  /// @param weights [count], updated; in the memory of the context, as are the gradients
  /// @param gradients [count]
  /// @param count the size given to the constructor
  /// @param decayed_count weight decay applies to the first `decayed_count` parameters only
  /// @param learning_rate r >= 0
  void step(float* weights, const float* gradients, int64_t count, int64_t decayed_count,
            double learning_rate);
  /// The same with a learning rate per range. Parameters outside all ranges do not change.
  void step(float* weights, const float* gradients, const std::vector<ParameterRange>& ranges,
            double learning_rate);

  /// Steps done so far. A checkpoint of the optimizer consists of this number and state().
  int64_t steps() const { return steps_; }
  /// Restores the number of steps. Throws InvalidArgument for a negative one.
  void set_steps(int64_t steps);
  /// Lion: "momentum". AdamW: "mean" and "square_mean". `size` values each. The pointers are valid until this
  /// object is moved or destroyed.
  std::vector<OptimizerState> state();

 private:
  void check_rate(double learning_rate) const;
  /// Does step number steps_ on parameters first ... first + count - 1.
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
