// Groups pairs that belong together and divides the groups into folds for cross-validation.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign::detail {

/// The rows of `x`, contiguous, on the host.
std::vector<float> host_rows(Context& context, ConstMatrixF x);

/// For each pair the number of its group, from 0 in the order of first appearance. Two pairs are in a group
/// if their rows of a or their rows of b have the same bits, or if both are in one with a third. a [p, dx], b
/// [p, dy] on the host
std::vector<int64_t> group_pairs(ConstMatrixF a, ConstMatrixF b);

struct Fold {
  std::vector<int64_t> kept, left_out;  ///< pairs; no group is divided between the two
};

/// Groups in an order drawn from seed and `round`, divided into `parts` of equally many groups, +- 1.
/// 2 <= parts <= groups.
std::vector<Fold> divide_pairs(const std::vector<int64_t>& groups, int64_t parts, uint64_t seed,
                               int64_t round);

}  // namespace sotalign::detail
