#include "teacher/reduced.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/center_rows.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/column_mean.h"
#include "sotalign/linalg/eigh.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/svd.h"

namespace sotalign::detail {

namespace {
/// Variances and singular values of M below this fraction of the largest are noise: rounding embeddings to
/// float32 adds about 4e-15 of variance in every direction, the computed eigenvalues of their covariance are
/// off by about 1e-14, and 1e-12 leaves room for both.
constexpr double kRankTolerance = 1e-12;

/// [d, k] = directions' op(coefficients), rounded to float.
Matrix<float> combine(Context& context, ConstMatrixD directions, Op op, ConstMatrixD coefficients,
                      int64_t k) {
  Matrix<double> w(context, directions.cols, k, "projection");
  gemm(context, Op::kTranspose, op, 1.0, directions, coefficients, 0.0, w.view());
  Matrix<float> projection(context, directions.cols, k, "projection");
  scale(context, w, nullptr, nullptr, projection.view());
  return projection;
}

Buffer<float> rounded(Context& context, const Buffer<double>& mean) {
  const std::vector<double> exact = mean.download();
  return Buffer<float>(context, std::vector<float>(exact.begin(), exact.end()), "mean of the pairs");
}
}  // namespace

std::vector<double> mean_of_pairs(Context& context, const RowSet& a, const char* name) {
  try {
    return a.column_mean(context);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(fmt::format("{}: {}", name, error.what()));
  }
}

Matrix<double> centered_rows(Context& context, ConstMatrixF x, const Buffer<double>& mean) {
  Matrix<double> y(context, x.rows, x.cols, "centred pairs");
  kernels::center_rows(context.queue(), kernels::CenterRows<double>{.x = x.data,
                                                                    .x_stride = x.stride,
                                                                    .mean = mean.data(),
                                                                    .y = y.data(),
                                                                    .y_stride = y.cols(),
                                                                    .rows = x.rows,
                                                                    .cols = x.cols});
  return y;
}

int64_t numerical_rank(const std::vector<double>& descending) {
  const auto noise = [&](double value) { return !(value > kRankTolerance * descending[0]); };
  return std::find_if(descending.begin(), descending.end(), noise) - descending.begin();
}

std::vector<double> whitening(const PrincipalBasis& basis, double ridge) {
  std::vector<double> factors = basis.variances;
  for (double& factor : factors) factor = 1.0 / std::sqrt(factor + ridge);
  return factors;
}

Matrix<double> reduced_cross_covariance(Context& context, const PrincipalBasis& x, const PrincipalBasis& y,
                                        double divisor) {
  Matrix<double> m(context, x.scores.cols, y.scores.cols, "reduced cross-covariance");
  gemm(context, Op::kTranspose, Op::kNone, 1.0 / divisor, x.scores, y.scores, 0.0, m);
  return m;
}

int64_t decompose_covariance(Context& context, Matrix<double> covariance, PrincipalBasis& basis) {
  const int64_t d = covariance.rows();
  SymmetricEigen parts = eigh(context, std::move(covariance));
  const std::vector<double> ascending = parts.values.download();
  const int64_t rank = numerical_rank({ascending.rbegin(), ascending.rend()});
  basis.variances.assign(ascending.end() - rank, ascending.end());
  basis.direction_storage = std::move(parts.vectors);
  basis.directions = basis.direction_storage.view().row_range(d - rank, rank);
  return rank;
}

PrincipalBasis principal_basis(Context& context, ConstMatrixF a, const char* name) {
  const int64_t p = a.rows, d = a.cols;
  PrincipalBasis basis;
  basis.mean = Buffer<double>(context, mean_of_pairs(context, a, name), "mean of the pairs");
  Matrix<double> a0 = centered_rows(context, a, basis.mean);

  int64_t rank = 0;
  if (p <= d) {
    ThinSvd parts = svd(context, std::move(a0));
    basis.variances = parts.values.download();
    for (double& value : basis.variances) value = value * value / static_cast<double>(p);
    rank = numerical_rank(basis.variances);
    basis.variances.resize(static_cast<size_t>(rank));
    scale(context, parts.u, nullptr, parts.values.data(), parts.u.view());
    basis.direction_storage = std::move(parts.vt);
    basis.directions = basis.direction_storage.view().row_range(0, rank);
    basis.score_storage = std::move(parts.u);
    basis.scores = {basis.score_storage.data(), p, rank, p};
  } else {
    Matrix<double> covariance(context, d, d, "covariance of the pairs");
    gemm(context, Op::kTranspose, Op::kNone, 1.0 / static_cast<double>(p), a0, a0, 0.0, covariance);
    rank = decompose_covariance(context, std::move(covariance), basis);
    basis.score_storage = Matrix<double>(context, p, rank, "scores of the pairs");
    basis.scores = basis.score_storage;
    gemm(context, Op::kNone, Op::kTranspose, 1.0, a0, basis.directions, 0.0, basis.score_storage);
  }
  if (rank == 0)
    throw InvalidArgument(fmt::format("{}: expected rows that differ, found {} equal ones", name, p));
  return basis;
}

Teacher teacher_from_bases(Context& context, const TeacherOptions& options, PrincipalBasis x,
                           PrincipalBasis y, const std::vector<double>& scaling_x,
                           const std::vector<double>& scaling_y, double divisor, Columns columns) {
  Matrix<double> m = reduced_cross_covariance(context, x, y, divisor);
  // Free the largest temporaries before the SVD.
  x.score_storage = {}, y.score_storage = {};
  return teacher_from_reduced(context, options, x, y, scaling_x, scaling_y, std::move(m), columns);
}

Teacher teacher_from_reduced(Context& context, const TeacherOptions& options, const PrincipalBasis& x,
                             const PrincipalBasis& y, const std::vector<double>& scaling_x,
                             const std::vector<double>& scaling_y, Matrix<double> m, Columns columns) {
  const Buffer<double> dx(context, scaling_x), dy(context, scaling_y);
  scale(context, m, dx.data(), dy.data(), m.view());
  ThinSvd parts = svd(context, std::move(m));

  Teacher teacher;
  teacher.kind = options.kind;
  teacher.mean_x = rounded(context, x.mean);
  teacher.mean_y = rounded(context, y.mean);
  teacher.correlations = parts.values.download();
  const int64_t rank = numerical_rank(teacher.correlations);
  if (rank == 0)
    throw InvalidArgument("pairs: expected a and b to vary together, found no covariance at all");
  const int64_t dim = columns == Columns::kAtMost ? std::min(options.dim.value(), rank) : options.dim.value();
  if (dim > rank)
    throw InvalidArgument(
        fmt::format("dim: the pairs determine {} directions (their numerical rank), found {}", rank, dim));
  const int64_t k = dim == 0 ? std::min(rank, kLargestDefaultDim) : dim;
  teacher.correlations.resize(static_cast<size_t>(k));

  std::vector<double> weights = teacher.correlations;
  const double exponent = options.kind == TeacherKind::kCca ? options.correlation_power.value() : 0.0;
  for (double& weight : weights) weight = std::pow(weight, exponent);
  const Buffer<double> power(context, weights);
  const MatrixD u(parts.u.data(), parts.u.rows(), k, parts.u.cols());
  const MatrixD vt = parts.vt.view().row_range(0, k);
  scale(context, u, dx.data(), power.data(), u);
  scale(context, vt, power.data(), dy.data(), vt);
  teacher.wx = combine(context, x.directions, Op::kNone, u, k);
  teacher.wy = combine(context, y.directions, Op::kTranspose, vt, k);
  return teacher;
}

}  // namespace sotalign::detail
