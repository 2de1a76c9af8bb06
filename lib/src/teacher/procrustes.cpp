// Orthogonal Procrustes: the rotations of the two sides that maximize the inner products of pairs, from the
// singular vectors of A0'B0.
#include "teacher/reduced.h"

namespace sotalign::detail {

Teacher fit_procrustes(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  PrincipalBasis x = principal_basis(context, a, "a");
  PrincipalBasis y = principal_basis(context, b, "b");
  const std::vector<double> dx(x.variances.size(), 1.0), dy(y.variances.size(), 1.0);
  return teacher_from_bases(context, options, std::move(x), std::move(y), dx, dy, 1.0);
}

}  // namespace sotalign::detail
