// Linear centred kernel alignment (CKA) of two sets of embeddings of the same items (Kornblith, Norouzi, Lee
// and Hinton, "Similarity of neural network representations revisited", ICML 2019): a similarity measure for
// evaluation. Training uses a different one, the CKA divergence between cross affinities in loss/cka.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// Two ways to compute the same numbers.
enum class CkaForm {
  kAuto,      ///< the one with fewer operations
  kFeatures,  ///< stores covariances dx x dx, dy x dy, dx x dy; n (dx^2 + dy^2 + dx dy) operations
  kGram,      ///< computes n x n kernel matrices tile by tile; n^2 (dx + dy) / 2 operations
};

/// The settings of linear_cka().
struct LinearCkaOptions {
  CkaForm form = CkaForm::kAuto;
  /// Number of rows centred and multiplied at a time.
  int64_t tile = 1024;
  /// Names of the sets in error messages, such as their file names.
  std::string x_name = "linear_cka: x", y_name = "linear_cka: y";
};

/// The result of linear_cka().
struct LinearCka {
  /// <Kc, Lc> / (|Kc| |Lc|) in [0, 1], with Kc = Xc Xc', Lc = Yc Yc' and the centred sets Xc and Yc. Biased
  /// upwards unless rows far outnumber dimensions: with few rows, even unrelated sets approach 1.
  double biased = 0;
  /// The same ratio of unbiased estimates of HSIC (Song, Smola, Gretton, Bedo and Borgwardt, "Feature
  /// selection via dependence maximization", JMLR 2012): at most 1, and 0 on average for unrelated sets.
  /// Unset for fewer than 4 rows, or if the estimate of a set with itself is not positive.
  std::optional<double> unbiased;
};

/// Computes the alignment in float64. Row i of x and row i of y describe the same item; rows are not scaled
/// to unit length. Invariant to rotations, shifts and scaling of either set. Throws InvalidArgument for
/// shapes that do not match, for entries that are not finite, and for a set whose rows are all equal.
/// @param context owns the memory of x and y
/// @param x [n, dx]
/// @param y [n, dy]
/// @param options see LinearCkaOptions
LinearCka linear_cka(Context& context, ConstMatrixF x, ConstMatrixF y, const LinearCkaOptions& options = {});

}  // namespace sotalign
