// Linear centred kernel alignment of two sets of embeddings of the same things (Kornblith, Norouzi, Lee and
// Hinton, "Similarity of neural network representations revisited", ICML 2019): a measure of how similar two
// sets are, for evaluation. Not the divergence between cross affinities that can be trained with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sotalign/core/context.h"

namespace sotalign {

/// How the same numbers are computed.
enum class CkaForm {
  kAuto,      ///< whichever takes fewer operations
  kFeatures,  ///< dx x dx, dy x dy and dx x dy covariances in memory; n (dx^2 + dy^2 + dx dy) operations
  kGram,      ///< n x n kernel matrices in tiles, of which none is stored; n^2 (dx + dy) / 2 operations
};

struct LinearCkaOptions {
  CkaForm form = CkaForm::kAuto;
  /// Rows that are centred and multiplied at a time.
  int64_t tile = 1024;
  /// How messages call the sets: for example their files.
  std::string x_name = "linear_cka: x", y_name = "linear_cka: y";
};

struct LinearCka {
  /// <Kc, Lc> / (|Kc| |Lc|) in [0, 1], with Kc = Xc Xc', Lc = Yc Yc' and Xc, Yc the centred sets. Biased
  /// upwards where there are not many more rows than dimensions: sets that have nothing to do with each other
  /// tend to 1.
  double biased = 0;
  /// The same with the unbiased estimate of HSIC (Song, Smola, Gretton, Bedo and Borgwardt, "Feature
  /// selection via dependence maximization", JMLR 2012) in all three places: 0 on average for such sets, at
  /// most 1. None for fewer than 4 rows and where the estimate for a set with itself is not positive.
  std::optional<double> unbiased;
};

/// In float64. Row i of x and row i of y describe the same thing; rows are taken as they are, not scaled to
/// unit length. Invariant to rotations, shifts and scaling of either set.
/// Throws InvalidArgument for shapes that do not fit, entries that are not finite, and a set whose rows are
/// all equal.
/// @param x [n, dx] @param y [n, dy]
LinearCka linear_cka(Context& context, ConstMatrixF x, ConstMatrixF y, const LinearCkaOptions& options = {});

}  // namespace sotalign
