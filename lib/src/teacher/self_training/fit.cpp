#include <utility>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/inverse_cholesky.h"
#include "teacher/reduced.h"
#include "teacher/self_training/implementation.h"

namespace sotalign {

namespace {

/// y += factor x, entry by entry, as the product of a column with the matrix `one` [1, 1].
void add_scaled(Context& context, double factor, const Matrix<double>& x, const Matrix<double>& one,
                Matrix<double>& y) {
  gemm(context, Op::kNone, Op::kNone, factor, ConstMatrixD(x.data(), x.size(), 1), one, 1.0,
       MatrixD(y.data(), y.size(), 1));
}

/// The entries on the diagonal, as a column.
MatrixD diagonal(Matrix<double>& square) { return {square.data(), square.rows(), 1, square.cols() + 1}; }

/// Sets the directions V of `basis` [r, d] so that V (S + ridge) V' = 1, for a covariance S [d, d], which is
/// consumed. Any such V gives the same teacher; that from a Cholesky factor is the cheapest.
void whiten(Context& context, Matrix<double> covariance, double ridge, const Matrix<double>& one,
            detail::PrincipalBasis& basis) {
  const int64_t d = covariance.rows();
  Matrix<double> trace(context, 1, 1, "trace");
  const Buffer<double> ones(context, std::vector<double>(static_cast<size_t>(d), 1.0));
  const ConstMatrixD column(ones.data(), d, 1);
  gemm(context, Op::kTranspose, Op::kNone, 1.0, column, diagonal(covariance), 0.0, trace);
  // S + ridge has a condition number of at most 1e10 then, far from what a Cholesky factor cannot bear.
  if (ridge > 1e-10 * trace.download()[0]) {
    gemm(context, Op::kNone, Op::kNone, ridge, column, one, 1.0, diagonal(covariance));
    basis.direction_storage = inverse_cholesky(context, std::move(covariance));
    basis.directions = basis.direction_storage;
    return;
  }
  if (detail::decompose_covariance(context, std::move(covariance), basis) == 0)
    throw NumericalError("self-training: expected rows that vary, found a covariance of 0");
  const Buffer<double> factors(context, detail::whitening(basis, ridge));
  const MatrixD kept(basis.direction_storage.data() + (d - basis.directions.rows) * d, basis.directions.rows,
                     d);
  detail::scale(context, kept, factors.data(), nullptr, kept);
}

}  // namespace

Matrix<double> SelfTraining::Implementation::mixture(const Matrix<double>& pairs,
                                                     const Matrix<double>& average) const {
  Matrix<double> sum(context_, pairs.rows(), pairs.cols(), "covariance of pairs and unpaired rows");
  add_scaled(context_, 1 - share_, pairs, one_, sum);
  add_scaled(context_, share_, average, one_, sum);
  return sum;
}

Teacher SelfTraining::Implementation::fit() {
  detail::PrincipalBasis &x = basis_x_, &y = basis_y_;
  for (const auto& [side, basis] : {std::pair{&*x_, &x}, std::pair{&*y_, &y}}) {
    if (side->takes_all() && basis->directions.rows > 0) continue;  // its covariance is that of the last fit
    *basis = {};
    basis->mean = Buffer<double>(context_, side->mixed_mean, "mean of pairs and unpaired rows");
    whiten(context_, mixture(side->pairs_covariance, side->average), options_.ridge, one_, *basis);
  }
  const int64_t rows = x.directions.rows, cols = y.directions.rows;
  Matrix<double> half(context_, rows, y_->cols(), "reduced cross-covariance"),
      m(context_, rows, cols, "reduced cross-covariance");
  gemm(context_, Op::kNone, Op::kNone, 1.0, x.directions, mixture(pairs_xy_, average_xy_), 0.0, half);
  gemm(context_, Op::kNone, Op::kTranspose, 1.0, half, y.directions, 0.0, m);
  // The directions whiten already.
  const std::vector<double> no_scaling_x(static_cast<size_t>(rows), 1.0),
      no_scaling_y(static_cast<size_t>(cols), 1.0);
  Teacher teacher = detail::teacher_from_reduced(context_, teacher_options(), x, y, no_scaling_x,
                                                 no_scaling_y, std::move(m), detail::Columns::kAtMost);
  if (!x_->takes_all()) x = {};
  if (!y_->takes_all()) y = {};
  return teacher;
}

}  // namespace sotalign
