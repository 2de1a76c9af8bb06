// Picks a random neighbour for each query, drawn again in every step. The choice is a pure function of key,
// step and query: there is no state, and the order of evaluation does not matter.
#pragma once

#include "kernels/queue.h"
#include "kernels/random_permutation.h"

namespace sotalign::kernels {

/// picked_i = neighbours[query_i, r_i], where r_i in [0, k) is neighbour_rank(args, query_i). Queries are not
/// checked.
struct PickNeighbours {
  const int64_t* neighbours = nullptr;  ///< [any, k]
  int64_t k = 0;                        ///< at least 1
  const int64_t* queries = nullptr;     ///< [count], rows of `neighbours`; may repeat
  int64_t* picked = nullptr;            ///< [count]; must not overlap `queries`
  int64_t count = 0;
  int64_t step = 0;  ///< from 0
  uint64_t key = 0;  ///< selects the random sequence
};
SOTALIGN_DECLARE_OPERATION(pick_neighbours, PickNeighbours)

constexpr int64_t neighbour_rank(const PickNeighbours& args, int64_t query) {
  const uint64_t step_key = split_mix(args.key, static_cast<uint64_t>(args.step));
  return static_cast<int64_t>(split_mix(step_key, static_cast<uint64_t>(query)) %
                              static_cast<uint64_t>(args.k));
}

}  // namespace sotalign::kernels
