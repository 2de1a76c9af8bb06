// Canonical correlation analysis with a ridge: of all directions, those in which the two sides agree most
// relative to how much each of them varies.
#include <cmath>

#include "teacher/reduced.h"

namespace sotalign::detail {

Teacher fit_cca(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  const auto whitening = [&](const PrincipalBasis& basis) {
    std::vector<double> factors = basis.variances;
    for (double& factor : factors) factor = 1.0 / std::sqrt(factor + options.ridge);
    return factors;
  };
  PrincipalBasis x = principal_basis(context, a, "a");
  PrincipalBasis y = principal_basis(context, b, "b");
  const std::vector<double> dx = whitening(x), dy = whitening(y);
  return teacher_from_bases(context, options, std::move(x), std::move(y), dx, dy,
                            static_cast<double>(a.rows));
}

}  // namespace sotalign::detail
