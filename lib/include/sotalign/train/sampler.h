// Which rows a training step sees.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign {

/// Batches of row indices drawn epoch by epoch without replacement from [0, population). Without state: a
/// batch is a function of (seed, stream, step), so that a resumed run continues with the step alone, and
/// samplers with different streams (stream_id in core/random.h) are independent of each other.
///
/// Epochs follow each other without a gap: a batch that lies across the end of one may hold a row twice. A
/// batch that asks for the whole population or more is the whole population, in the order 0, 1, 2, ...
class BatchSampler {
 public:
  /// population >= 1, batch >= 1.
  BatchSampler(int64_t population, int64_t batch, uint64_t seed, uint64_t stream);

  int64_t population() const { return population_; }
  /// The rows in a batch: the number asked for, at most population().
  int64_t batch() const { return batch_; }

  /// Entry i in [0, batch()) of the batch of a step >= 0.
  int64_t index(int64_t step, int64_t i) const;
  /// That batch, all of it; `indices` is resized.
  void sample(int64_t step, std::vector<int64_t>& indices) const;
  /// The same into [batch()] elements of device memory, made there.
  void sample(Context& context, int64_t step, int64_t* indices) const;

 private:
  int64_t population_;
  int64_t batch_;
  uint64_t key_;
};

}  // namespace sotalign
