// What CCA and Procrustes share: both are a singular value problem between the principal components of the
// two sides. With A0 = S_x V_x' and B0 = S_y V_y' (S the scores [p, r], V orthonormal [d, r], r the rank)
//   M = D_x (S_x' S_y / divisor) D_y = U diag(correlations) V',  W_x = V_x D_x U_k,  W_y = V_y D_y V_k,
// D diagonal: (variance + ridge)^-1/2 for CCA, 1 for Procrustes. Nothing of size [d, d] is needed when p < d,
// and directions without variance are gone before anything is divided by their variance.
#pragma once

#include <vector>

#include "kernels/scale_matrix.h"
#include "sotalign/teacher/teacher.h"

namespace sotalign::detail {

/// y_ij = row_factors_i x_ij column_factors_j; a null factor is 1. In the memory of the context.
template <class T>
void scale(Context& context, ConstMatrixD x, const double* row_factors, const double* column_factors,
           MatrixView<T> y) {
  kernels::scale_matrix(context.queue(), kernels::ScaleMatrix<T>{.x = x.data,
                                                                 .x_stride = x.stride,
                                                                 .row_factors = row_factors,
                                                                 .column_factors = column_factors,
                                                                 .y = y.data,
                                                                 .y_stride = y.stride,
                                                                 .rows = x.rows,
                                                                 .cols = x.cols});
}

/// The mean row, [d]. Throws InvalidArgument that begins with `name` if an entry is not finite.
std::vector<double> mean_of_pairs(Context& context, ConstMatrixF a, const char* name);

/// x - mean [rows, d] in double: a mean rounded to float would leave a constant behind that looks like one
/// more direction of variance.
Matrix<double> centered_rows(Context& context, ConstMatrixF x, const Buffer<double>& mean);

struct PrincipalBasis {
  Buffer<double> mean;  ///< [d]
  Matrix<double> direction_storage;
  ConstMatrixD directions;  ///< [r, d] orthonormal rows, inside direction_storage
  Matrix<double> score_storage;
  ConstMatrixD scores;            ///< [p, r] = A0 directions', inside score_storage
  std::vector<double> variances;  ///< [r], eigenvalues of A0'A0/p, all > 0
};

/// `name` is that of the argument, for messages. Throws InvalidArgument if `a` is not finite or its rows are
/// all equal.
PrincipalBasis principal_basis(Context& context, ConstMatrixF a, const char* name);

/// S_x' S_y / divisor, [r_x, r_y].
Matrix<double> reduced_cross_covariance(Context& context, const PrincipalBasis& x, const PrincipalBasis& y,
                                        double divisor);

/// The diagonal of CCA's D: (variance + ridge)^-1/2.
std::vector<double> whitening(const PrincipalBasis& basis, double ridge);

/// How many directions singular values of M allow: those above the noise.
int64_t numerical_rank(const std::vector<double>& descending);

/// The paper's dimension of the shared space; beyond it a teacher only costs.
inline constexpr int64_t kLargestDefaultDim = 1024;

/// The teacher of the M above. `scaling_x` and `scaling_y` are the diagonals of D_x and D_y.
/// Throws InvalidArgument if options.dim exceeds the rank of M.
Teacher teacher_from_bases(Context& context, const TeacherOptions& options, PrincipalBasis x,
                           PrincipalBasis y, const std::vector<double>& scaling_x,
                           const std::vector<double>& scaling_y, double divisor);

Teacher fit_cca(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);
Teacher fit_procrustes(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);
Teacher fit_contrastive(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

/// Throws InvalidArgument unless fit_teacher() can be tried; numbers that are not given fit.
void check_teacher(ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign::detail
