#include "teacher/reduced.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/center_rows.h"
#include "kernels/scale_matrix.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/column_mean.h"
#include "sotalign/linalg/eigh.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/svd.h"

namespace sotalign::detail {

namespace {
/// Variances and singular values of M below this part of the largest are noise: embeddings rounded to float32
/// have some 4e-15 of variance in every direction, the eigenvalues computed from their covariance are off by
/// some 1e-14, and 1e-12 leaves room for both.
constexpr double kRankTolerance = 1e-12;

/// The paper's dimension of the shared space; beyond it a teacher only costs.
constexpr int64_t kLargestDefaultDim = 1024;

/// How many of `descending` are above the noise.
int64_t numerical_rank(const std::vector<double>& descending) {
  const auto noise = [&](double value) { return !(value > kRankTolerance * descending[0]); };
  return std::find_if(descending.begin(), descending.end(), noise) - descending.begin();
}

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

/// A0, and its mean rounded to float. A0 is centred with the mean in double: a float mean would leave a
/// constant behind that looks like one more direction of variance.
Matrix<double> centered(Context& context, ConstMatrixF a, const char* name, Buffer<float>& mean) {
  std::vector<double> exact;
  try {
    exact = column_mean(context, {a});
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(fmt::format("{}: {}", name, error.what()));
  }
  mean = Buffer<float>(context, std::vector<float>(exact.begin(), exact.end()), "mean of the pairs");
  const Buffer<double> device_mean(context, exact, "mean of the pairs");
  Matrix<double> a0(context, a.rows, a.cols, "centred pairs");
  kernels::center_rows(context.queue(), kernels::CenterRows<double>{.x = a.data,
                                                                    .x_stride = a.stride,
                                                                    .mean = device_mean.data(),
                                                                    .y = a0.data(),
                                                                    .y_stride = a0.cols(),
                                                                    .rows = a.rows,
                                                                    .cols = a.cols});
  return a0;
}

/// [d, k] = directions' op(coefficients), rounded to float.
Matrix<float> combine(Context& context, ConstMatrixD directions, Op op, ConstMatrixD coefficients,
                      int64_t k) {
  Matrix<double> w(context, directions.cols, k, "projection");
  gemm(context, Op::kTranspose, op, 1.0, directions, coefficients, 0.0, w.view());
  Matrix<float> rounded(context, directions.cols, k, "projection");
  scale(context, w, nullptr, nullptr, rounded.view());
  return rounded;
}
}  // namespace

PrincipalBasis principal_basis(Context& context, ConstMatrixF a, const char* name) {
  const int64_t p = a.rows, d = a.cols;
  PrincipalBasis basis;
  Matrix<double> a0 = centered(context, a, name, basis.mean);

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
    SymmetricEigen parts = eigh(context, std::move(covariance));
    const std::vector<double> ascending = parts.values.download();
    rank = numerical_rank({ascending.rbegin(), ascending.rend()});
    basis.variances.assign(ascending.end() - rank, ascending.end());
    basis.direction_storage = std::move(parts.vectors);
    basis.directions = basis.direction_storage.view().row_range(d - rank, rank);
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
                           const std::vector<double>& scaling_y, double divisor) {
  const Buffer<double> dx(context, scaling_x), dy(context, scaling_y);
  Matrix<double> m(context, x.scores.cols, y.scores.cols, "reduced cross-covariance");
  gemm(context, Op::kTranspose, Op::kNone, 1.0 / divisor, x.scores, y.scores, 0.0, m);
  scale(context, m, dx.data(), dy.data(), m.view());
  // The largest of the temporaries, and not needed any more.
  x.score_storage = {}, y.score_storage = {};
  ThinSvd parts = svd(context, std::move(m));

  Teacher teacher;
  teacher.kind = options.kind;
  teacher.mean_x = std::move(x.mean);
  teacher.mean_y = std::move(y.mean);
  teacher.correlations = parts.values.download();
  const int64_t rank = numerical_rank(teacher.correlations);
  if (rank == 0)
    throw InvalidArgument("pairs: expected a and b to vary together, found no covariance at all");
  if (options.dim > rank)
    throw InvalidArgument(fmt::format(
        "dim: the pairs determine {} directions (their numerical rank), found {}", rank, options.dim));
  const int64_t k = options.dim == 0 ? std::min(rank, kLargestDefaultDim) : options.dim;
  teacher.correlations.resize(static_cast<size_t>(k));

  std::vector<double> weights = teacher.correlations;
  const double exponent = options.kind == TeacherKind::kCca ? options.correlation_power : 0.0;
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
