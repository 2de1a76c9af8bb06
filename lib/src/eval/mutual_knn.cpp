#include "sotalign/eval/mutual_knn.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/nearest_rows.h"
#include "eval/unit_rows.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {

/// The k nearest other rows of rows first ... first + count - 1: [count, k], each list in ascending order.
std::vector<int64_t> neighbours(Context& context, ConstMatrixF unit, int64_t first, int64_t count, int64_t k,
                                int64_t tile) {
  // One more, since a row is its own neighbour. If k + 1 others are equal to it, the list may lack the row
  // itself; its first k entries are then correct.
  const std::vector<int64_t> lists =
      nearest_rows(context, unit.row_range(first, count), unit, k + 1, tile).indices.download();
  std::vector<int64_t> result;
  result.reserve(static_cast<size_t>(count * k));
  for (int64_t i = 0; i < count; ++i) {
    const auto list = lists.begin() + i * (k + 1);
    const auto self = std::find(list, list + k, first + i);
    result.insert(result.end(), list, self);
    if (self != list + k) result.insert(result.end(), self + 1, list + k + 1);
    std::sort(result.end() - k, result.end());
  }
  return result;
}

}  // namespace

double mutual_knn(Context& context, ConstMatrixF x, ConstMatrixF y, const MutualKnnOptions& options) {
  const int64_t n = x.rows, k = options.k;
  if (x.rows != y.rows)
    throw InvalidArgument(fmt::format(
        "mutual_knn: row i belongs to row i, expected equally many rows, found {} and {}", x.rows, y.rows));
  if (n < 2 || x.empty() || y.empty())
    throw InvalidArgument(fmt::format("mutual_knn: expected at least 2 rows, found [{}, {}] and [{}, {}]",
                                      x.rows, x.cols, y.rows, y.cols));
  if (k < 1 || k > n - 1)
    throw InvalidArgument(fmt::format("mutual_knn: k, expected 1 to {} (other rows), found {}", n - 1, k));
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("mutual_knn: tile, expected at least 1, found {}", options.tile));
  const Matrix<float> unit_x = unit_rows_with_direction(context, x, "mutual_knn", "row"),
                      unit_y = unit_rows_with_direction(context, y, "mutual_knn", "row");
  int64_t common = 0;
  // One strip of rows at a time keeps the lists small.
  for (int64_t first = 0; first < n; first += options.tile) {
    const int64_t count = std::min(options.tile, n - first);
    const std::vector<int64_t> of_x = neighbours(context, unit_x, first, count, k, options.tile),
                               of_y = neighbours(context, unit_y, first, count, k, options.tile);
    for (int64_t i = 0; i < count; ++i) {
      auto a = of_x.begin() + i * k, b = of_y.begin() + i * k;
      for (const auto a_end = a + k, b_end = b + k; a != a_end && b != b_end;) {
        if (*a == *b) ++common;
        const bool next_a = *a <= *b, next_b = *b <= *a;
        if (next_a) ++a;
        if (next_b) ++b;
      }
    }
  }
  return static_cast<double>(common) / (static_cast<double>(n) * static_cast<double>(k));
}

}  // namespace sotalign
