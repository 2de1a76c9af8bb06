// Row indices of a training batch, drawn without replacement within each epoch. Each index is a pure function
// of its position in the sequence: there is no state, and the order of evaluation does not matter.
#pragma once

#include "kernels/queue.h"
#include "kernels/random_permutation.h"

namespace sotalign::kernels {

/// Entry i has position p = step * count + i in an endless sequence, in which epoch e = floor(p / n) is a
/// random permutation of [0, n): indices_i = permutation_e(p mod n). With count = n a batch is all rows in
/// order 0..n-1, since shuffling would change nothing but the speed of reading them.
struct SampleIndices {
  int64_t* indices = nullptr;  ///< [count]
  int64_t count = 0;           ///< batch size, 1..population
  int64_t population = 0;      ///< n
  int64_t step = 0;            ///< from 0
  uint64_t key = 0;            ///< selects the random sequence
};
SOTALIGN_DECLARE_OPERATION(sample_indices, SampleIndices)

constexpr int64_t sample_index(const SampleIndices& args, int64_t i) {
  if (args.count == args.population) return i;
  const int64_t place = args.step * args.count + i;
  return random_permutation(args.key, place / args.population, args.population, place % args.population);
}

}  // namespace sotalign::kernels
