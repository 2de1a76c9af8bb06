// Mutual nearest neighbours: do two sets of embeddings of the same items have the same neighbourhoods? (The
// alignment metric of Huh, Cheung, Wang and Isola, "The platonic representation hypothesis", ICML 2024.)
#pragma once

#include <cstdint>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of mutual_knn().
struct MutualKnnOptions {
  int64_t k = 10;  ///< neighbours, 1 ... n - 1
  /// Scores are computed in tiles of at most tile x tile.
  int64_t tile = 2048;
};

/// The mean over i of |N_x(i) and N_y(i)| / k, the share of common neighbours, where N_x(i) holds the k rows
/// of x nearest to row i by cosine, without row i itself, and N_y(i) the same for y. It is 1 if all
/// neighbours agree, and k / (n - 1) on average for unrelated sets. Row i of x and row i of y describe the
/// same item. The search is exact, with float32 products. Ties go to the lower index; if most rows of both
/// sets are equal, the overlap is therefore large and meaningless. Rows need not have unit length. Throws
/// InvalidArgument for shapes or k out of range, and for rows that are zero or not finite.
/// @param context owns the memory of x and y
/// @param x [n, dx]
/// @param y [n, dy]
/// @param options see MutualKnnOptions
double mutual_knn(Context& context, ConstMatrixF x, ConstMatrixF y, const MutualKnnOptions& options = {});

}  // namespace sotalign
