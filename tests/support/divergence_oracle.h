// InfoNCE, CKA and the Jensen-Shannon divergence of softmaxes in double precision, straight from the
// formulas.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace sotalign::testing {

struct DivergenceOracle {
  double value = 0;
  std::vector<double> gradient;  ///< with respect to the student
};

/// log softmax of each line. A line has `count` entries `step` apart; lines start `line_step` apart.
inline std::vector<double> log_softmax(std::vector<double> x, int64_t lines, int64_t line_step, int64_t count,
                                       int64_t step) {
  for (int64_t l = 0; l < lines; ++l) {
    double* line = x.data() + l * line_step;
    double top = line[0], sum = 0;
    for (int64_t i = 0; i < count; ++i) top = std::max(top, line[i * step]);
    for (int64_t i = 0; i < count; ++i) sum += std::exp(line[i * step] - top);
    for (int64_t i = 0; i < count; ++i) line[i * step] -= top + std::log(sum);
  }
  return x;
}

inline DivergenceOracle infonce_oracle(const std::vector<float>& k, const std::vector<float>& t, int64_t n,
                                       int64_t m, double epsilon, double teacher_epsilon) {
  std::vector<double> s(k.begin(), k.end()), s_teacher(t.begin(), t.end());
  for (double& x : s) x /= epsilon;
  for (double& x : s_teacher) x /= teacher_epsilon;
  DivergenceOracle result{.gradient = std::vector<double>(k.size(), 0.0)};
  for (const bool rows : {true, false}) {
    const auto softmax = [&](const std::vector<double>& x) {
      return rows ? log_softmax(x, n, m, m, 1) : log_softmax(x, m, 1, n, m);
    };
    const std::vector<double> p = softmax(s), q = softmax(s_teacher);
    const double weight = 0.5 / double(rows ? n : m);
    for (size_t i = 0; i < p.size(); ++i) {
      result.value += weight * std::exp(q[i]) * (q[i] - p[i]);
      result.gradient[i] += weight * (std::exp(p[i]) - std::exp(q[i])) / epsilon;
    }
  }
  return result;
}

/// The mean over rows of JS(softmax(c s0), softmax(c s)), and its gradient with respect to s through the
/// Jacobian of the softmax.
inline DivergenceOracle jensen_shannon_oracle(std::vector<double> s, std::vector<double> s0, int64_t n,
                                              int64_t m, double c) {
  for (double& x : s) x *= c;
  for (double& x : s0) x *= c;
  const std::vector<double> log_q = log_softmax(s, n, m, m, 1), log_p = log_softmax(s0, n, m, m, 1);
  DivergenceOracle result{.gradient = std::vector<double>(s.size())};
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> q(m), g(m);
    for (int64_t j = 0; j < m; ++j) {
      const double lq = log_q[i * m + j], lp = log_p[i * m + j], top = std::max(lq, lp);
      const double log_m = top + std::log((std::exp(lq - top) + std::exp(lp - top)) / 2);
      q[j] = std::exp(lq);
      g[j] = (lq - log_m) / 2;
      result.value += (q[j] * (lq - log_m) + std::exp(lp) * (lp - log_m)) / 2 / double(n);
    }
    for (int64_t j = 0; j < m; ++j)
      for (int64_t l = 0; l < m; ++l)
        result.gradient[i * m + j] += c / double(n) * q[l] * ((l == j ? 1.0 : 0.0) - q[j]) * g[l];
  }
  return result;
}

inline std::vector<double> doubly_centred(const std::vector<float>& k, int64_t n, int64_t m) {
  std::vector<double> a(k.begin(), k.end());
  for (int64_t i = 0; i < n; ++i) {
    double mean = 0;
    for (int64_t j = 0; j < m; ++j) mean += a[i * m + j] / double(m);
    for (int64_t j = 0; j < m; ++j) a[i * m + j] -= mean;
  }
  for (int64_t j = 0; j < m; ++j) {
    double mean = 0;
    for (int64_t i = 0; i < n; ++i) mean += a[i * m + j] / double(n);
    for (int64_t i = 0; i < n; ++i) a[i * m + j] -= mean;
  }
  return a;
}

/// The doubly centred matrices must not vanish.
inline DivergenceOracle cka_oracle(const std::vector<float>& k, const std::vector<float>& t, int64_t n,
                                   int64_t m) {
  const std::vector<double> a = doubly_centred(k, n, m), b = doubly_centred(t, n, m);
  double aa = 0, ab = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) aa += a[i] * a[i], ab += a[i] * b[i], bb += b[i] * b[i];
  const double norms = std::sqrt(aa) * std::sqrt(bb);
  DivergenceOracle result{.value = 1.0 - ab / norms, .gradient = std::vector<double>(a.size())};
  for (size_t i = 0; i < a.size(); ++i) result.gradient[i] = (ab / aa * a[i] - b[i]) / norms;
  return result;
}

}  // namespace sotalign::testing
