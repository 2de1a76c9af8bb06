// Sinkhorn and KLOT as short loops in double precision, straight from the formulas.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace sotalign::testing {

struct EntropicOracle {
  int64_t n = 0, m = 0;
  std::vector<double> l, a, b, u, v;  // l = K / epsilon

  EntropicOracle(const std::vector<float>& k, int64_t rows, int64_t cols, double epsilon)
      : n(rows), m(cols), l(k.begin(), k.end()), a(n, 1.0 / double(n)), b(m, 1.0 / double(m)), u(n), v(m) {
    for (double& x : l) x /= epsilon;
  }

  static double log_sum_exp(const std::vector<double>& x) {
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (double value : x) top = std::max(top, value);
    if (std::isinf(top)) return top;
    for (double value : x) sum += std::exp(value - top);
    return top + std::log(sum);
  }
  double row_update(int64_t i) const {
    std::vector<double> x(m);
    for (int64_t j = 0; j < m; ++j) x[j] = l[i * m + j] + v[j];
    return a[i] > 0 ? std::log(a[i]) - log_sum_exp(x) : -std::numeric_limits<double>::infinity();
  }
  double column_update(int64_t j) const {
    std::vector<double> x(n);
    for (int64_t i = 0; i < n; ++i) x[i] = l[i * m + j] + u[i];
    return b[j] > 0 ? std::log(b[j]) - log_sum_exp(x) : -std::numeric_limits<double>::infinity();
  }
  void iterate(int64_t iterations) {
    for (int64_t it = 0; it < iterations; ++it) {
      for (int64_t i = 0; i < n; ++i) u[i] = row_update(i);
      for (int64_t j = 0; j < m; ++j) v[j] = column_update(j);
    }
  }
  EntropicOracle& solve(int64_t iterations, bool symmetrize) {
    for (int64_t j = 0; j < m; ++j) v[j] = b[j] > 0 ? 0 : -std::numeric_limits<double>::infinity();
    iterate(iterations);
    if (symmetrize)
      for (int64_t i = 0; i < n; ++i)
        if (a[i] > 0) u[i] = 0.5 * (u[i] + row_update(i));
    return *this;
  }
  double log_plan(int64_t i, int64_t j) const { return l[i * m + j] + u[i] + v[j]; }
  std::vector<double> plan() const {
    std::vector<double> p(l.size());
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) p[i * m + j] = a[i] > 0 && b[j] > 0 ? std::exp(log_plan(i, j)) : 0;
    return p;
  }
  double row_error() const {
    const std::vector<double> p = plan();
    double error = 0;
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < m; ++j) sum += p[i * m + j];
      error += std::abs(sum - a[i]);
    }
    return error;
  }
};

inline double klot_value(const EntropicOracle& student, const EntropicOracle& teacher) {
  double value = 0;
  const std::vector<double> p = teacher.plan();
  for (int64_t i = 0; i < teacher.n; ++i)
    for (int64_t j = 0; j < teacher.m; ++j)
      if (p[i * teacher.m + j] > 0)
        value += p[i * teacher.m + j] * (teacher.log_plan(i, j) - student.log_plan(i, j));
  return value;
}

}  // namespace sotalign::testing
