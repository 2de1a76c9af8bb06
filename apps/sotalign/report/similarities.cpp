#include "report/similarities.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace sotalign::app {

namespace {

constexpr int64_t kMostOthers = 8;

double cosine(const float* a, const float* b, int64_t dim) {
  double sum = 0;
  for (int64_t k = 0; k < dim; ++k) sum += double{a[k]} * b[k];
  return sum;
}

}  // namespace

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Similarities::separation() const {
  if (true_pairs.empty() || random_pairs.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted = random_pairs;
  std::sort(sorted.begin(), sorted.end());
  double won = 0;
  for (const double value : true_pairs) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
    won += static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  }
  return won / static_cast<double>(true_pairs.size()) / static_cast<double>(sorted.size());
}

Similarities similarities(ConstMatrixF images, ConstMatrixF texts) {
  Similarities result;
  const int64_t n = images.rows, others = std::min(kMostOthers, n - 1);
  for (int64_t i = 0; i < n; ++i) {
    result.true_pairs.push_back(cosine(images.row(i), texts.row(i), images.cols));
    // Distances from 1 to n - 1, spread evenly: no row is its own partner.
    for (int64_t k = 0; k < others; ++k)
      result.random_pairs.push_back(
          cosine(images.row(i), texts.row((i + 1 + k * (n - 1) / others) % n), images.cols));
  }
  return result;
}

}  // namespace sotalign::app
