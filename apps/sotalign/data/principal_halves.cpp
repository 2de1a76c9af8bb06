#include "data/principal_halves.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sotalign::app {

namespace {

// If the two largest variances are close, the direction does not converge in this many iterations. It then
// lies in the plane of both principal directions, along which the rows differ as much.
constexpr int kIterations = 60;

using Vector = std::vector<double>;

std::vector<Vector> centred(const HostMatrix& x, const std::vector<int64_t>& rows) {
  const auto cols = static_cast<size_t>(x.cols());
  std::vector<Vector> result;
  Vector mean(cols);
  for (const int64_t row : rows) {
    result.emplace_back(x.view().row(row), x.view().row(row) + cols);
    for (size_t j = 0; j < cols; ++j) mean[j] += result.back()[j] / static_cast<double>(rows.size());
  }
  for (Vector& row : result)
    for (size_t j = 0; j < cols; ++j) row[j] -= mean[j];
  return result;
}

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

Vector principal_direction(const std::vector<Vector>& rows) {
  // The longest row is hardly ever orthogonal to the principal direction.
  Vector direction = *std::max_element(
      rows.begin(), rows.end(), [](const Vector& a, const Vector& b) { return dot(a, a) < dot(b, b); });
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    Vector next(direction.size());
    for (const Vector& row : rows) {
      const double along = dot(row, direction);
      for (size_t j = 0; j < row.size(); ++j) next[j] += along * row[j];
    }
    const double norm = std::sqrt(dot(next, next));
    if (!(norm > 0)) break;  // all rows are equal
    for (double& value : next) value /= norm;
    direction = std::move(next);
  }
  const double largest = *std::max_element(direction.begin(), direction.end(),
                                           [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (largest < 0)
    for (double& value : direction) value = -value;
  return direction;
}

}  // namespace

PrincipalHalves principal_halves(const HostMatrix& x, const std::vector<int64_t>& rows) {
  PrincipalHalves halves;
  if (rows.size() < 2) return halves;
  const std::vector<Vector> points = centred(x, rows);
  const Vector direction = principal_direction(points);
  Vector projections;
  for (const Vector& point : points) projections.push_back(dot(point, direction));
  std::vector<size_t> order(rows.size()), rank(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t i, size_t j) { return projections[i] < projections[j]; });
  for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = i;
  const size_t half = rows.size() / 2;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rank[i] < half) halves.lower.push_back(rows[i]);
    if (rank[i] >= rows.size() - half) halves.upper.push_back(rows[i]);
  }
  return halves;
}

}  // namespace sotalign::app
