#include "sotalign/linalg/inverse_cholesky.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cholesky.h"
#include "kernels/scale_matrix.h"
#include "kernels/solve_triangular.h"
#include "linalg/decomposition.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {

/// Copies a column of `n` entries.
void copy_column(Context& context, const double* x, int64_t x_stride, double* y, int64_t y_stride,
                 int64_t n) {
  kernels::scale_matrix(
      context.queue(), kernels::ScaleMatrix<double>{
                           .x = x, .x_stride = x_stride, .y = y, .y_stride = y_stride, .rows = n, .cols = 1});
}

}  // namespace

Matrix<double> inverse_cholesky(Context& context, Matrix<double> a) {
  const int64_t n = a.rows();
  if (n == 0 || a.cols() != n || n > detail::kLargestDecomposition)
    throw InvalidArgument(
        fmt::format("inverse_cholesky: expected a square matrix of 1 to {} rows, found [{}, {}]",
                    detail::kLargestDecomposition, n, a.cols()));
  Buffer<int32_t> info(context, 1, "LAPACK info");
  {
    kernels::Cholesky args{.a = a.data(), .a_stride = n, .n = n, .info = info.data()};
    Workspace workspace(context);
    args.scratch =
        workspace.take<unsigned char>(static_cast<int64_t>(cholesky_scratch(context.queue(), args)));
    kernels::cholesky(context.queue(), args);
  }
  Matrix<double> inverse(context, n, n, "inverse Cholesky factor");  // zero
  Buffer<double> diagonal(context, std::vector<double>(static_cast<size_t>(n), 1.0), "diagonal");
  copy_column(context, diagonal.data(), 1, inverse.data(), n + 1, n);
  kernels::solve_triangular(
      context.queue(), {.l = a.data(), .l_stride = n, .b = inverse.data(), .b_stride = n, .n = n, .cols = n});
  // An entry of A that is not finite spoils the diagonal of its row, even where LAPACK reports success.
  copy_column(context, inverse.data(), n + 1, diagonal.data(), 1, n);
  const std::vector<double> values = diagonal.download();
  if (info.download()[0] != 0 || !std::all_of(values.begin(), values.end(),
                                              [](double value) { return std::isfinite(value) && value > 0; }))
    throw NumericalError(
        fmt::format("inverse_cholesky of a [{}, {}] matrix: it is not positive definite", n, n));
  return inverse;
}

}  // namespace sotalign
