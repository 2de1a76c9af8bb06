// Cosines of pairs that belong together and of pairs that do not.
#pragma once

#include <vector>

#include "sotalign/core/matrix_view.h"

namespace sotalign::app {

struct Similarities {
  std::vector<double> true_pairs;    ///< [n], image i with text i
  std::vector<double> random_pairs;  ///< image i with each of at most 8 other texts; empty for n = 1

  /// The probability that a true pair has a higher cosine than a random one, where a tie counts half: the
  /// area under the ROC curve. NaN without random pairs.
  double separation() const;
};

double mean(const std::vector<double>& values);

/// Of unit rows on the host, [n, d] each. Row i of the images belongs to row i of the texts.
Similarities similarities(ConstMatrixF images, ConstMatrixF texts);

}  // namespace sotalign::app
