// Groups pairs that share rows, and splits the groups into folds for cross-validation.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace sotalign::detail {

/// Copies the rows of `x` to the host, contiguously.
std::vector<float> host_rows(Context& context, ConstMatrixF x);

/// The chosen rows of `x`, in the context's memory like `x`.
Matrix<float> take_rows(Context& context, ConstMatrixF x, const std::vector<int64_t>& rows);

/// The group of each pair, numbered from 0 by first appearance. Pairs with bitwise equal rows in a or in b
/// share a group, transitively. a [p, dx] and b [p, dy] are on the host.
std::vector<int64_t> group_pairs(ConstMatrixF a, ConstMatrixF b);

struct Fold {
  std::vector<int64_t> kept, left_out;  ///< indices of pairs; no group is split between the two
};

/// Shuffles the groups with `seed` and `round` and splits them into `parts` folds, whose sizes differ by at
/// most one group. 2 <= parts <= number of groups.
std::vector<Fold> divide_pairs(const std::vector<int64_t>& groups, int64_t parts, uint64_t seed,
                               int64_t round);

}  // namespace sotalign::detail
