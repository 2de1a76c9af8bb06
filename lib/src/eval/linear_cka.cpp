#include "sotalign/eval/linear_cka.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/plain_nan.h"
#include "kernels/center_rows.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/column_mean.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

/// A variance below this fraction of the mean square is rounding of float32 entries.
constexpr double kNoVariance = 1e-13;

/// One of the two sets. The mean is float64: a float32 mean would leave a constant in the centred rows.
struct Set {
  Set(Context& context_, ConstMatrixF rows, const std::string& name) : context(context_), x(rows) {
    try {
      host_mean = column_mean(context, {x});
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(fmt::format("{}: {}", name, error.what()));
    }
    mean = Buffer<double>(context, host_mean, "mean");
  }

  /// Rows first ... first + count - 1, centred, in `out` [count, cols].
  MatrixD centred(int64_t first, int64_t count, double* out) const {
    kernels::center_rows(context.queue(), kernels::CenterRows<double>{.x = x.row(first),
                                                                      .x_stride = x.stride,
                                                                      .mean = mean.data(),
                                                                      .y = out,
                                                                      .y_stride = x.cols,
                                                                      .rows = count,
                                                                      .cols = x.cols});
    return {out, count, x.cols};
  }

  Context& context;
  ConstMatrixF x;
  std::vector<double> host_mean;
  Buffer<double> mean;
};

/// <Kc, Kc>, <Kc, Lc>, <Lc, Lc>.
struct Products {
  double xx = 0, xy = 0, yy = 0;
};

/// result += factor <a, b> for matrices without padding, as the product of a row and a column. Does not
/// synchronize.
void add_inner(Context& context, double factor, ConstMatrixD a, ConstMatrixD b, double* result) {
  // BLAS sizes are 32-bit.
  constexpr int64_t kMost = int64_t{1} << 30;
  for (int64_t first = 0; first < a.size(); first += kMost) {
    const int64_t count = std::min(kMost, a.size() - first);
    gemm(context, Op::kNone, Op::kTranspose, factor, ConstMatrixD(a.data + first, 1, count),
         ConstMatrixD(b.data + first, 1, count), 1.0, MatrixD(result, 1, 1));
  }
}

/// |Xc'Xc|^2 = <Kc, Kc>, |Xc'Yc|^2 = <Kc, Lc> and |Yc'Yc|^2 = <Lc, Lc>.
void multiply_features(Context& context, const Set& x, const Set& y, int64_t tile, double* results) {
  const int64_t n = x.x.rows, dx = x.x.cols, dy = y.x.cols;
  Matrix<double> xx(context, dx, dx, "covariance"), xy(context, dx, dy, "covariance"),
      yy(context, dy, dy, "covariance");
  Workspace scratch(context);
  double *x_tile = scratch.take<double>(tile * dx), *y_tile = scratch.take<double>(tile * dy);
  for (int64_t i = 0; i < n; i += tile) {
    const int64_t rows = std::min(tile, n - i);
    const MatrixD xc = x.centred(i, rows, x_tile), yc = y.centred(i, rows, y_tile);
    gemm(context, Op::kTranspose, Op::kNone, 1.0, xc, xc, 1.0, xx.view());
    gemm(context, Op::kTranspose, Op::kNone, 1.0, xc, yc, 1.0, xy.view());
    gemm(context, Op::kTranspose, Op::kNone, 1.0, yc, yc, 1.0, yy.view());
  }
  add_inner(context, 1.0, xx, xx, results);
  add_inner(context, 1.0, xy, xy, results + 1);
  add_inner(context, 1.0, yy, yy, results + 2);
}

void multiply_gram(Context& context, const Set& x, const Set& y, int64_t tile, double* results) {
  const int64_t n = x.x.rows, dx = x.x.cols, dy = y.x.cols;
  Workspace scratch(context);
  double *xi = scratch.take<double>(tile * dx), *xj = scratch.take<double>(tile * dx);
  double *yi = scratch.take<double>(tile * dy), *yj = scratch.take<double>(tile * dy);
  double *k_tile = scratch.take<double>(tile * tile), *l_tile = scratch.take<double>(tile * tile);
  for (int64_t i = 0; i < n; i += tile)
    for (int64_t j = i; j < n; j += tile) {  // the matrices are symmetric
      const int64_t rows = std::min(tile, n - i), cols = std::min(tile, n - j);
      const MatrixD k(k_tile, rows, cols), l(l_tile, rows, cols);
      gemm(context, Op::kNone, Op::kTranspose, 1.0, x.centred(i, rows, xi), x.centred(j, cols, xj), 0.0, k);
      gemm(context, Op::kNone, Op::kTranspose, 1.0, y.centred(i, rows, yi), y.centred(j, cols, yj), 0.0, l);
      const double factor = i == j ? 1.0 : 2.0;
      add_inner(context, factor, k, k, results);
      add_inner(context, factor, k, l, results + 1);
      add_inner(context, factor, l, l, results + 2);
    }
}

/// The squared norms of the centred rows: the diagonal of Kc.
std::vector<double> diagonal(Context& context, const Set& set, int64_t tile) {
  const int64_t n = set.x.rows, d = set.x.cols;
  std::vector<double> result;
  std::vector<float> rows(static_cast<size_t>(std::min(tile, n) * d));
  for (int64_t first = 0; first < n; first += tile) {
    const int64_t count = std::min(tile, n - first);
    for (int64_t i = 0; i < count && !set.x.contiguous(); ++i)
      context.copy_to_host(&rows[static_cast<size_t>(i * d)], set.x.row(first + i),
                           static_cast<size_t>(d) * sizeof(float));
    if (set.x.contiguous())
      context.copy_to_host(rows.data(), set.x.row(first), static_cast<size_t>(count * d) * sizeof(float));
    for (int64_t i = 0; i < count; ++i) {
      double square = 0;
      for (int64_t j = 0; j < d; ++j) {
        const double entry =
            static_cast<double>(rows[static_cast<size_t>(i * d + j)]) - set.host_mean[static_cast<size_t>(j)];
        square += entry * entry;
      }
      result.push_back(square);
    }
  }
  return result;
}

double sum_products(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// n (n - 3) times the unbiased estimate of HSIC, from <Kc, Lc> and the diagonals of both. Let K and L be Kc
/// and Lc with zero diagonals. The rows of Kc sum to 0, so each row of K sums to minus its entry on the
/// diagonal of Kc, and the formula of Song et al.,
///   tr(KL) + (1'K1)(1'L1) / ((n - 1) (n - 2)) - 2 1'KL1 / (n - 2),
/// reduces to this.
double unbiased_hsic(double product, const std::vector<double>& k, const std::vector<double>& l) {
  const double n = static_cast<double>(k.size());
  const std::vector<double> ones(k.size(), 1.0);
  return product - n / (n - 2) * sum_products(k, l) +
         sum_products(k, ones) * sum_products(l, ones) / ((n - 1) * (n - 2));
}

void check_variance(const Set& set, const std::vector<double>& squares, const std::string& name) {
  double variance = 0, mean_square = 0;
  for (const double square : squares) variance += square;
  for (const double entry : set.host_mean) mean_square += entry * entry;
  if (!(variance > kNoVariance * mean_square * static_cast<double>(squares.size())))
    throw InvalidArgument(
        fmt::format("{}: expected rows that differ, found {} equal ones", name, squares.size()));
}

}  // namespace

LinearCka linear_cka(Context& context, ConstMatrixF x, ConstMatrixF y, const LinearCkaOptions& options) {
  if (x.rows != y.rows)
    throw InvalidArgument(fmt::format(
        "linear_cka: row i belongs to row i, expected equally many rows, found {} and {}", x.rows, y.rows));
  if (x.rows < 2 || x.empty() || y.empty())
    throw InvalidArgument(fmt::format("linear_cka: expected at least 2 rows, found [{}, {}] and [{}, {}]",
                                      x.rows, x.cols, y.rows, y.cols));
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("linear_cka: tile, expected at least 1, found {}", options.tile));
  const int64_t tile = std::min(options.tile, x.rows);
  const std::string &x_name = options.x_name, &y_name = options.y_name;
  const Set set_x(context, x, x_name), set_y(context, y, y_name);
  const std::vector<double> k = diagonal(context, set_x, tile), l = diagonal(context, set_y, tile);
  check_variance(set_x, k, x_name);
  check_variance(set_y, l, y_name);

  const double n = static_cast<double>(x.rows), dx = static_cast<double>(x.cols),
               dy = static_cast<double>(y.cols);
  const bool gram = options.form == CkaForm::kGram ||
                    (options.form == CkaForm::kAuto && n * (dx + dy) / 2 < dx * dx + dy * dy + dx * dy);
  Buffer<double> results(context, 3, "inner products");
  if (gram)
    multiply_gram(context, set_x, set_y, tile, results.data());
  else
    multiply_features(context, set_x, set_y, tile, results.data());
  const std::vector<double> host = results.download();
  const Products products{host[0], host[1], host[2]};

  LinearCka result;
  result.biased = products.xy / std::sqrt(products.xx) / std::sqrt(products.yy);
  if (!std::isfinite(result.biased))
    throw NumericalError(
        fmt::format("linear_cka: expected a finite result, found {}", plain_nan(result.biased)));
  if (x.rows >= 4) {
    const double xx = unbiased_hsic(products.xx, k, k), yy = unbiased_hsic(products.yy, l, l);
    // Any less is rounding: the estimate is a difference of large numbers.
    if (xx > 1e-12 * products.xx && yy > 1e-12 * products.yy)
      result.unbiased = unbiased_hsic(products.xy, k, l) / std::sqrt(xx) / std::sqrt(yy);
  }
  return result;
}

}  // namespace sotalign
