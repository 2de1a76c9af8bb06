// Draws the rows of each training step.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// Draws batches of row indices from [0, population), without replacement within an epoch. Stateless: a batch
/// depends only on (seed, stream, step), so a resumed run needs only the step. Samplers with different
/// streams (stream_id in core/random.h) are independent.
///
/// Epochs are contiguous, so a batch that crosses an epoch boundary may contain a row twice. With batch >=
/// population, every batch is the whole population in the order 0, 1, 2, ...
class BatchSampler {
 public:
  /// @param population number of rows, >= 1
  /// @param batch rows per batch, >= 1; clamped to the population
  /// Throws InvalidArgument if either is out of range.
  BatchSampler(int64_t population, int64_t batch, uint64_t seed, uint64_t stream);

  int64_t population() const { return population_; }
  /// Rows per batch: the requested number, clamped to population().
  int64_t batch() const { return batch_; }

  /// Entry i of the batch of `step`. Throws InvalidArgument unless step >= 0 and 0 <= i < batch().
  int64_t index(int64_t step, int64_t i) const;
  /// The whole batch of `step`; resizes `indices` to batch().
  void sample(int64_t step, std::vector<int64_t>& indices) const;
  /// Computes the same batch on the device. Queued, does not synchronize.
  /// @param indices [batch()], in the context's memory
  void sample(Context& context, int64_t step, int64_t* indices) const;

 private:
  int64_t population_;
  int64_t batch_;
  uint64_t key_;
};

}  // namespace sotalign
