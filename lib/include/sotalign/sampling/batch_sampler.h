// Which rows a training step uses.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// Draws batches of row indices from [0, population), epoch by epoch and without replacement. It keeps no
/// state: a batch is a function of (seed, stream, step), so a resumed run needs the step alone. Samplers with
/// different streams (stream_id in core/random.h) are independent of each other.
///
/// Epochs follow each other without a gap, so a batch that spans the end of one may hold a row twice. A batch
/// that asks for the whole population or more is the whole population, in the order 0, 1, 2, ...
class BatchSampler {
 public:
  /// @param population number of rows, >= 1
  /// @param batch rows in a batch, >= 1; more than the population means all of it
  /// Throws InvalidArgument if either is out of range.
  BatchSampler(int64_t population, int64_t batch, uint64_t seed, uint64_t stream);

  int64_t population() const { return population_; }
  /// Rows in a batch: the number asked for, at most population().
  int64_t batch() const { return batch_; }

  /// Entry i in [0, batch()) of the batch of `step` >= 0. Throws InvalidArgument outside these ranges.
  int64_t index(int64_t step, int64_t i) const;
  /// The whole batch of a step; resizes `indices` to batch().
  void sample(int64_t step, std::vector<int64_t>& indices) const;
  /// The same batch, computed on the device into `indices` [batch()], in the context's memory. Queued; does
  /// not wait.
  void sample(Context& context, int64_t step, int64_t* indices) const;

 private:
  int64_t population_;
  int64_t batch_;
  uint64_t key_;
};

}  // namespace sotalign
