// Mutual nearest neighbours: do two sets of embeddings of the same things agree on who is near whom?
// (The alignment metric of Huh, Cheung, Wang and Isola, "The platonic representation hypothesis", ICML 2024.)
#pragma once

#include <cstdint>

#include "sotalign/core/context.h"

namespace sotalign {

struct MutualKnnOptions {
  int64_t k = 10;  ///< neighbours, 1 ... n - 1
  /// Scores are computed in tiles of at most tile x tile.
  int64_t tile = 2048;
};

/// mean over i of |N_x(i) and N_y(i)| / k, where N_x(i) are the k rows of x nearest to row i by cosine, row i
/// itself left out, and N_y(i) likewise. 1: the same neighbours everywhere; sets that have nothing to do with
/// each other give k / (n - 1) on average. Row i of x and row i of y describe the same thing. Exact, with
/// float32 products; the lower index is the nearer one among equal cosines, so where most rows of both sets
/// are equal the overlap is large and says nothing. Rows need not have unit length.
/// Throws InvalidArgument for shapes and k that do not fit, and for rows that are zero or not finite.
/// @param x [n, dx] @param y [n, dy]
double mutual_knn(Context& context, ConstMatrixF x, ConstMatrixF y, const MutualKnnOptions& options = {});

}  // namespace sotalign
