// What CCA and Procrustes share: both are a singular value problem between the principal components of the
// two sides. With A0 = S_x V_x' and B0 = S_y V_y' (S the scores [p, r], V orthonormal [d, r], r the rank)
//   M = D_x (S_x' S_y / divisor) D_y = U diag(correlations) V',  W_x = V_x D_x U_k,  W_y = V_y D_y V_k,
// D diagonal: (variance + ridge)^-1/2 for CCA, 1 for Procrustes. Nothing of size [d, d] is needed when p < d,
// and directions without variance are gone before anything is divided by their variance.
#pragma once

#include <vector>

#include "sotalign/teacher/teacher.h"

namespace sotalign::detail {

struct PrincipalBasis {
  Buffer<float> mean;  ///< [d]
  Matrix<double> direction_storage;
  ConstMatrixD directions;  ///< [r, d] orthonormal rows, inside direction_storage
  Matrix<double> score_storage;
  ConstMatrixD scores;            ///< [p, r] = A0 directions', inside score_storage
  std::vector<double> variances;  ///< [r], eigenvalues of A0'A0/p, all > 0
};

/// `name` is that of the argument, for messages. Throws InvalidArgument if `a` is not finite or its rows are
/// all equal.
PrincipalBasis principal_basis(Context& context, ConstMatrixF a, const char* name);

/// The teacher of the M above. `scaling_x` and `scaling_y` are the diagonals of D_x and D_y.
/// Throws InvalidArgument if options.dim exceeds the rank of M.
Teacher teacher_from_bases(Context& context, const TeacherOptions& options, PrincipalBasis x,
                           PrincipalBasis y, const std::vector<double>& scaling_x,
                           const std::vector<double>& scaling_y, double divisor);

Teacher fit_cca(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);
Teacher fit_procrustes(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign::detail
