#include <utility>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
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

}  // namespace

Matrix<double> SelfTraining::Implementation::mixture(const Matrix<double>& pairs,
                                                     const Matrix<double>& average) const {
  Matrix<double> sum(context_, pairs.rows(), pairs.cols(), "covariance of pairs and unpaired rows");
  add_scaled(context_, 1 - share_, pairs, one_, sum);
  add_scaled(context_, share_, average, one_, sum);
  return sum;
}

Teacher SelfTraining::Implementation::fit() const {
  detail::PrincipalBasis x, y;
  for (const auto& [side, basis] : {std::pair{&*x_, &x}, std::pair{&*y_, &y}}) {
    basis->mean = Buffer<double>(context_, side->mixed_mean, "mean of pairs and unpaired rows");
    if (detail::decompose_covariance(context_, mixture(side->pairs_covariance, side->average), *basis) == 0)
      throw NumericalError("self-training: expected rows that vary, found a covariance of 0");
  }
  // M = Vx Sxy Vy', before whitening.
  Matrix<double> half(context_, x.directions.rows, y_->cols(), "reduced cross-covariance"),
      m(context_, x.directions.rows, y.directions.rows, "reduced cross-covariance");
  gemm(context_, Op::kNone, Op::kNone, 1.0, x.directions, mixture(pairs_xy_, average_xy_), 0.0, half);
  gemm(context_, Op::kNone, Op::kTranspose, 1.0, half, y.directions, 0.0, m);
  return detail::teacher_from_reduced(context_, teacher_options(), x, y, detail::whitening(x, options_.ridge),
                                      detail::whitening(y, options_.ridge), std::move(m),
                                      detail::Columns::kAtMost);
}

}  // namespace sotalign
