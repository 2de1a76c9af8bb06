// The loss of every training method by loops in double precision, from preprocessed rows, the indices of a
// batch and the parameters of linear heads. Written for clarity.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace sotalign::testing::oracle {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

inline Rows normalized(Rows rows) {
  for (Row& row : rows) {
    const double norm = std::sqrt(dot(row, row));
    for (double& value : row) value /= norm;
  }
  return rows;
}

inline void subtract(Rows& rows, const Row& mean) {
  for (Row& row : rows)
    for (size_t j = 0; j < row.size(); ++j) row[j] -= mean[j];
}

inline Row mean_of(const Rows& rows) {
  Row mean(rows[0].size(), 0.0);
  for (const Row& row : rows)
    for (size_t j = 0; j < row.size(); ++j) mean[j] += row[j] / double(rows.size());
  return mean;
}

inline Rows products(const Rows& a, const Rows& b) {
  Rows k(a.size(), Row(b.size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j) k[i][j] = dot(a[i], b[j]);
  return k;
}

inline Rows take(const Rows& rows, const std::vector<int64_t>& index) {
  Rows taken;
  for (const int64_t i : index) taken.push_back(rows[size_t(i)]);
  return taken;
}

inline Rows joined(Rows a, const Rows& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Row softmax(const Row& k, double scale) {
  const double largest = *std::max_element(k.begin(), k.end());
  Row p;
  double sum = 0;
  for (const double x : k) {
    p.push_back(std::exp(scale * (x - largest)));
    sum += p.back();
  }
  for (double& x : p) x /= sum;
  return p;
}

/// A linear head y = W x + b with W [outputs, inputs]; maps rows x to unit rows.
struct LinearHead {
  Rows weight;
  Row bias;
  Rows operator()(const Rows& x) const {
    Rows y = products(x, weight);
    for (Row& row : y)
      for (size_t j = 0; j < row.size(); ++j) row[j] += bias[j];
    return normalized(y);
  }
};

/// For i < pairs, rows i of f and g form a pair.
inline double siglip(const Rows& f, const Rows& g, size_t pairs, double scale, double bias) {
  double loss = 0;
  for (size_t i = 0; i < f.size(); ++i)
    for (size_t j = 0; j < g.size(); ++j) {
      const double z = i == j && i < pairs ? 1 : -1;
      loss += std::log1p(std::exp(-z * (scale * dot(f[i], g[j]) + bias)));
    }
  return loss / double(pairs);
}

/// Mean Jensen-Shannon divergence between the softmaxes of two sets' own similarities.
inline double structure(Rows original, Rows aligned, double temperature) {
  subtract(original, mean_of(original));
  subtract(aligned, mean_of(aligned));
  const Rows s0 = products(original, original), s = products(aligned, aligned);
  double sum = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    const Row p = softmax(s0[i], 1 / temperature), q = softmax(s[i], 1 / temperature);
    for (size_t j = 0; j < p.size(); ++j) {
      const double m = (p[j] + q[j]) / 2;
      sum += (p[j] * std::log(p[j] / m) + q[j] * std::log(q[j] / m)) / 2;
    }
  }
  return sum / double(s.size());
}

/// The entropic transport plan of affinities k with uniform marginals, with each row scaled to mass 1.
inline Rows transport(Rows k, double epsilon) {
  const size_t n = k.size(), m = k[0].size();
  for (Row& row : k)
    for (double& x : row) x = std::exp(x / epsilon);
  Row v(m, 1.0), u(n);
  for (int iteration = 0; iteration < 500; ++iteration) {
    for (size_t i = 0; i < n; ++i) u[i] = 1 / (double(n) * dot(k[i], v));
    for (size_t j = 0; j < m; ++j) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += k[i][j] * u[i];
      v[j] = 1 / (double(m) * sum);
    }
  }
  for (Row& row : k) {
    const double sum = dot(row, v);
    for (size_t j = 0; j < m; ++j) row[j] *= v[j] / sum;
  }
  return k;
}

inline double cross_entropy(const Rows& targets, const Rows& k, double scale) {
  double sum = 0;
  for (size_t i = 0; i < k.size(); ++i) {
    const Row p = softmax(k[i], scale);
    for (size_t j = 0; j < p.size(); ++j) sum -= targets[i][j] * std::log(p[j]);
  }
  return sum / double(k.size());
}

/// The `count` rows nearest to `query`, nearest first.
inline std::vector<int64_t> nearest(const Row& query, const Rows& rows, int64_t count) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < rows.size(); ++i) order.push_back(int64_t(i));
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    return dot(query, rows[size_t(i)]) > dot(query, rows[size_t(j)]);
  });
  order.resize(size_t(count));
  return order;
}

}  // namespace sotalign::testing::oracle
