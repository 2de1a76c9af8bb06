// CKA value and gradient coefficients from the sums over both affinities; both backends share this
// arithmetic.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cka.h"

namespace sotalign::kernels {

/// Sums of x^2, x y and y^2. Over entries, x = k_ij - k_00 and y = k*_ij - k*_00; over rows or columns, x and
/// y are the means of the row or column.
struct CkaProducts {
  double xx = 0, xy = 0, yy = 0;
};

/// Input of the gradient pass besides the row and column means. The first entries are copies, because the
/// gradient may overwrite the originals.
struct CkaCoefficients {
  double first_x, first_y;
  double student_mean, teacher_mean;      ///< means of x and y over all entries
  double student_factor, teacher_factor;  ///< gradient = student_factor A + teacher_factor B
};

struct CkaSums {
  CkaProducts entries, row_means, column_means;
  double x = 0, y = 0;              ///< sums over all entries
  double first_x = 0, first_y = 0;  ///< k_00 and k*_00
};

/// Sets *args.value and returns the coefficients of the gradient.
constexpr CkaCoefficients conclude(const CkaSums& sums, const Cka& args) {
  const double rows = static_cast<double>(args.rows), cols = static_cast<double>(args.cols);
  const double count = rows * cols, mean_x = sums.x / count, mean_y = sums.y / count;
  const auto centred = [&](double entries, double row_means, double column_means, double mean) {
    return entries - cols * row_means - rows * column_means + count * mean;
  };
  const double aa = centred(sums.entries.xx, sums.row_means.xx, sums.column_means.xx, mean_x * mean_x),
               ab = centred(sums.entries.xy, sums.row_means.xy, sums.column_means.xy, mean_x * mean_y),
               bb = centred(sums.entries.yy, sums.row_means.yy, sums.column_means.yy, mean_y * mean_y);
  // Sum of k_ij^2 from the sums over k_ij - k_00.
  const auto squares = [&](double entries, double sum, double first) {
    return entries + 2 * first * sum + count * first * first;
  };
  const bool flat = aa <= kCkaDegenerate * squares(sums.entries.xx, sums.x, sums.first_x) ||
                    bb <= kCkaDegenerate * squares(sums.entries.yy, sums.y, sums.first_y);
  if (flat && !std::isnan(ab)) {  // a NaN in the other matrix must show
    *args.value = 1.0;
    return {sums.first_x, sums.first_y, mean_x, mean_y, 0.0, 0.0};
  }
  const double norms = std::sqrt(aa) * std::sqrt(bb), cosine = ab / norms;
  *args.value = 1.0 - cosine;
  const double scale = static_cast<double>(args.gradient_scale);
  return {sums.first_x, sums.first_y, mean_x, mean_y, scale * cosine / aa, -scale / norms};
}

}  // namespace sotalign::kernels
