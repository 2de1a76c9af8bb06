// Shared by CCA and Procrustes: both reduce to an SVD between the principal components of the two sides. With
// A0 = S_x V_x' and B0 = S_y V_y' (scores S [p, r], orthonormal V [d, r], rank r)
//   M = D_x (S_x' S_y / divisor) D_y = U diag(correlations) V',  W_x = V_x D_x U_k,  W_y = V_y D_y V_k,
// with diagonal D: (variance + ridge)^-1/2 for CCA, 1 for Procrustes. For p < d no [d, d] matrix is needed,
// and directions without variance are dropped before any division by their variance.
#pragma once

#include <vector>

#include "kernels/scale_matrix.h"
#include "sotalign/nn/row_set.h"
#include "sotalign/teacher/teacher.h"

namespace sotalign::detail {

/// y_ij = row_factors_i x_ij column_factors_j, with 1 for null factors. All in the context's memory.
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

/// The mean row, [d]. Throws InvalidArgument, starting with `name`, if an entry is not finite.
std::vector<double> mean_of_pairs(Context& context, const RowSet& a, const char* name);

/// x - mean, [rows, d], in double: a mean rounded to float would leave a constant offset, a spurious
/// direction of variance.
Matrix<double> centered_rows(Context& context, ConstMatrixF x, const Buffer<double>& mean);

struct PrincipalBasis {
  Buffer<double> mean;  ///< [d]
  Matrix<double> direction_storage;
  ConstMatrixD directions;  ///< [r, d] orthonormal rows, inside direction_storage
  Matrix<double> score_storage;
  ConstMatrixD scores;            ///< [p, r] = A0 directions', inside score_storage
  std::vector<double> variances;  ///< [r], eigenvalues of A0'A0/p, all > 0
};

/// Throws InvalidArgument, starting with `name`, if an entry of `a` is not finite or all its rows are equal.
PrincipalBasis principal_basis(Context& context, ConstMatrixF a, const char* name);

/// Sets the directions and variances of `basis` from a covariance [d, d], and returns the rank r, which may
/// be 0. The covariance is consumed; only its lower triangle is read.
int64_t decompose_covariance(Context& context, Matrix<double> covariance, PrincipalBasis& basis);

/// S_x' S_y / divisor, [r_x, r_y].
Matrix<double> reduced_cross_covariance(Context& context, const PrincipalBasis& x, const PrincipalBasis& y,
                                        double divisor);

/// The diagonal of CCA's D: (variance + ridge)^-1/2.
std::vector<double> whitening(const PrincipalBasis& basis, double ridge);

/// The number of variances, or of singular values of M, above the noise.
int64_t numerical_rank(const std::vector<double>& descending);

/// The paper's dimension of the shared space; a larger teacher only costs more.
inline constexpr int64_t kLargestDefaultDim = 1024;

/// Whether a dim above the rank is an error, or means the rank. 0 means the rank, at most kLargestDefaultDim,
/// in either case.
enum class Columns { kExactly, kAtMost };

/// The teacher from the SVD of M above. `scaling_x` and `scaling_y` are the diagonals of D_x and D_y.
/// Throws InvalidArgument if M is zero or, for kExactly, if options.dim exceeds its rank.
Teacher teacher_from_bases(Context& context, const TeacherOptions& options, PrincipalBasis x,
                           PrincipalBasis y, const std::vector<double>& scaling_x,
                           const std::vector<double>& scaling_y, double divisor,
                           Columns columns = Columns::kExactly);

/// The same for a given S_x' S_y / divisor, `m` [r_x, r_y], which is consumed. Reads no scores.
Teacher teacher_from_reduced(Context& context, const TeacherOptions& options, const PrincipalBasis& x,
                             const PrincipalBasis& y, const std::vector<double>& scaling_x,
                             const std::vector<double>& scaling_y, Matrix<double> m, Columns columns);

Teacher fit_cca(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);
Teacher fit_procrustes(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);
Teacher fit_contrastive(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

/// Checks shapes and options without reading the data. Open options pass, except a contrastive teacher's dim.
/// Throws InvalidArgument.
void check_teacher(ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options);

}  // namespace sotalign::detail
