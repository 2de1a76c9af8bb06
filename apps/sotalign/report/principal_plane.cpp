#include "report/principal_plane.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sotalign/core/buffer.h"
#include "sotalign/linalg/eigh.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign::app {

namespace {

/// Subtracts the mean row.
std::vector<double> centred(ConstMatrixF rows) {
  std::vector<double> values, sum(static_cast<size_t>(rows.cols));
  values.reserve(static_cast<size_t>(rows.size()));
  for (int64_t i = 0; i < rows.rows; ++i)
    for (int64_t j = 0; j < rows.cols; ++j) {
      values.push_back(rows.row(i)[j]);
      sum[static_cast<size_t>(j)] += values.back();
    }
  for (size_t at = 0; at < values.size(); ++at)
    values[at] -= sum[at % sum.size()] / static_cast<double>(rows.rows);
  return values;
}

}  // namespace

PrincipalPlane principal_plane(Context& context, ConstMatrixF rows) {
  if (rows.empty()) throw InvalidArgument("principal_plane: expected rows, found none");
  const int64_t n = rows.rows;
  const Matrix<double> x(context, centred(rows).data(), n, rows.cols, "rows of a picture");
  Matrix<double> gram(context, n, n, "their Gram matrix");
  gemm(context, Op::kNone, Op::kTranspose, 1.0, x.view(), x.view(), 0.0, gram.view());
  const SymmetricEigen eigen = eigh(context, std::move(gram));
  const std::vector<double> values = eigen.values.download(), vectors = eigen.vectors.download();

  double total = 0;
  for (const double value : values) total += std::max(0.0, value);
  PrincipalPlane plane;
  double shown = 0;
  // The Gram matrix is U diag(values) U', so the coordinates along axis k are sqrt(values[k]) times column k
  // of U. Values ascend. A single row has one axis.
  const auto axis = [&](int64_t from_last) {
    std::vector<double> along(static_cast<size_t>(n));
    if (from_last > n) return along;
    const int64_t k = n - from_last;
    const double variance = std::max(0.0, values[static_cast<size_t>(k)]);
    shown += variance;
    for (int64_t i = 0; i < n; ++i)
      along[static_cast<size_t>(i)] = std::sqrt(variance) * vectors[static_cast<size_t>(k * n + i)];
    return along;
  };
  plane.x = axis(1);
  plane.y = axis(2);
  plane.share = total > 0 ? shown / total : 0;
  return plane;
}

}  // namespace sotalign::app
