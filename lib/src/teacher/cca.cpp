// Canonical correlation analysis with a ridge: the directions of maximal correlation between the two sides.
#include "teacher/reduced.h"

namespace sotalign::detail {

Teacher fit_cca(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  PrincipalBasis x = principal_basis(context, a, "a");
  PrincipalBasis y = principal_basis(context, b, "b");
  const std::vector<double> dx = whitening(x, *options.ridge), dy = whitening(y, *options.ridge);
  return teacher_from_bases(context, options, std::move(x), std::move(y), dx, dy,
                            static_cast<double>(a.rows));
}

}  // namespace sotalign::detail
