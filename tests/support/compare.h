// Comparisons that fail on NaN, and reproducible test data.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace sotalign::testing {

/// sum |a - b| / max(sum |b|, floor)
template <class A, class B>
double relative_l1(const std::vector<A>& actual, const std::vector<B>& expected, double floor = 0.0) {
  if (actual.size() != expected.size()) return std::nan("");
  double difference = 0, magnitude = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    difference += std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    magnitude += std::abs(static_cast<double>(expected[i]));
  }
  if (difference == 0) return 0;
  return difference / std::max(magnitude, floor);
}

/// max |a - b|; NaN if any entry is.
template <class A, class B>
double max_difference(const std::vector<A>& actual, const std::vector<B>& expected) {
  if (actual.size() != expected.size()) return std::nan("");
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double d = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    if (!(d <= worst)) worst = d;
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

/// Expects value <= bound; NaN fails.
#define EXPECT_WITHIN(value, bound) \
  EXPECT_TRUE((value) <= (bound)) << #value " = " << (value) << ", bound " << (bound)

inline std::vector<float> random_normal(int64_t count, uint64_t seed, float scale = 1.0f) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(engine);
  return values;
}

inline std::vector<float> random_uniform(int64_t count, uint64_t seed, float low = -1.0f, float high = 1.0f) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(engine);
  return values;
}

/// [rows, cols] with rows of unit length.
inline std::vector<float> random_unit_rows(int64_t rows, int64_t cols, uint64_t seed) {
  std::vector<float> x = random_normal(rows * cols, seed);
  for (auto row = x.begin(); row != x.end(); row += cols) {
    double squares = 0;
    for (int64_t j = 0; j < cols; ++j) squares += double(row[j]) * double(row[j]);
    for (int64_t j = 0; j < cols; ++j) row[j] = float(double(row[j]) / std::sqrt(squares));
  }
  return x;
}

}  // namespace sotalign::testing
