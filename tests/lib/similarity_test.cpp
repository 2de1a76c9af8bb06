// Mutual nearest neighbours and linear CKA against loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/linear_cka.h"
#include "sotalign/eval/mutual_knn.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_similarity_test {

using testing::message_of;
using testing::random_normal;
using Doubles = std::vector<double>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class SimilarityTest : public testing::DeviceTest {
 protected:
  Matrix<float> matrix(const std::vector<float>& values, int64_t d) {
    return Matrix<float>(context, values.data(), int64_t(values.size()) / d, d);
  }
  double mutual(const std::vector<float>& x, int64_t dx, const std::vector<float>& y, int64_t dy, int64_t k,
                int64_t tile = 2048) {
    return mutual_knn(context, matrix(x, dx), matrix(y, dy), {.k = k, .tile = tile});
  }
  LinearCka cka(const std::vector<float>& x, int64_t dx, const std::vector<float>& y, int64_t dy,
                const LinearCkaOptions& options = {}) {
    return linear_cka(context, matrix(x, dx), matrix(y, dy), options);
  }
};
SOTALIGN_ON_EVERY_DEVICE(SimilarityTest);

// --- mutual nearest neighbours

/// Entries of +-1 in 16 columns, so that cosines are exact and ties frequent; every third row repeats an
/// earlier one.
constexpr int64_t kSignCols = 16;
std::vector<float> random_signs(int64_t n, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<float> signs;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t earlier = i % 3 == 2 ? int64_t(engine() % uint64_t(std::min<int64_t>(i, 4))) : -1;
    for (int64_t j = 0; j < kSignCols; ++j)
      signs.push_back(earlier < 0 ? (engine() % 2 ? 1.0f : -1.0f) : signs[size_t(earlier * kSignCols + j)]);
  }
  return signs;
}

/// The k nearest other rows of every row, by sorting.
std::vector<std::vector<int64_t>> neighbours(const std::vector<float>& x, int64_t d, int64_t k) {
  const int64_t n = int64_t(x.size()) / d;
  const auto dot = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t c = 0; c < d; ++c) sum += double(x[size_t(i * d + c)]) * double(x[size_t(j * d + c)]);
    return sum;
  };
  std::vector<std::vector<int64_t>> result;
  for (int64_t i = 0; i < n; ++i) {
    Doubles cosine;
    std::vector<int64_t> others;
    for (int64_t j = 0; j < n; ++j) {
      cosine.push_back(dot(i, j) / std::sqrt(dot(i, i) * dot(j, j)));
      if (j != i) others.push_back(j);
    }
    std::stable_sort(others.begin(), others.end(),
                     [&](int64_t a, int64_t b) { return cosine[size_t(a)] > cosine[size_t(b)]; });
    others.resize(size_t(k));
    result.push_back(others);
  }
  return result;
}

double mutual_oracle(const std::vector<float>& x, int64_t dx, const std::vector<float>& y, int64_t dy,
                     int64_t k) {
  const auto a = neighbours(x, dx, k), b = neighbours(y, dy, k);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (const int64_t j : a[i]) sum += double(std::count(b[i].begin(), b[i].end(), j)) / double(k);
  return sum / double(a.size());
}

TEST_P(SimilarityTest, MutualNeighboursAgreeWithSorting) {
  for (const int64_t n : {2, 3, 31, 33, 127}) {
    const std::vector<float> x = random_signs(n, 1), y = random_signs(n, 2);
    for (const int64_t k : {int64_t{1}, n / 3 + 1, n - 1}) {
      if (k > n - 1) continue;
      const double expected = mutual_oracle(x, kSignCols, y, kSignCols, k);
      for (const int64_t tile : {1, 7, 1000}) {
        if (n == 127 && tile == 1) continue;  // slow in emulation
        EXPECT_NEAR(mutual(x, kSignCols, y, kSignCols, k, tile), expected, 1e-12)
            << n << ' ' << k << ' ' << tile;
      }
    }
  }
}

TEST_P(SimilarityTest, MutualNeighboursOfRealNumbersOfDifferentDimension) {
  const int64_t n = 101, dx = 33, dy = 7, k = 10;
  const std::vector<float> x = random_normal(n * dx, 3, 20.0f);
  std::vector<float> y = random_normal(n * dy, 4, 0.3f);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < dy; ++j) y[size_t(i * dy + j)] += x[size_t(i * dx + j)];
  const double found = mutual(x, dx, y, dy, k);
  // Random cosines differ by more than float32 rounding: every neighbour is the same.
  EXPECT_NEAR(found, mutual_oracle(x, dx, y, dy, k), 1e-12);
  EXPECT_GT(found, 0.2);
  EXPECT_LT(found, 0.8);
  EXPECT_EQ(found, mutual(y, dy, x, dx, k));
}

TEST_P(SimilarityTest, MutualNeighboursKnownCases) {
  const int64_t n = 61, d = 9;
  const std::vector<float> x = random_normal(n * d, 5);
  std::vector<float> scaled = x;
  for (int64_t i = 0; i < n * d; ++i) scaled[size_t(i)] *= std::ldexp(1.0f, int(i / d % 20) - 10);
  EXPECT_EQ(mutual(x, d, scaled, d, 5), 1.0);
  // In x the neighbours are pairs of equal rows; in y row i equals row i + n/2 instead.
  std::vector<float> pairs, others;
  for (int64_t i = 0; i < 8; ++i) {
    const double a = 0.5 * double(i / 2), b = 0.5 * double(i % 4);
    pairs.insert(pairs.end(), {float(std::cos(a)), float(std::sin(a))});
    others.insert(others.end(), {float(std::cos(b)), float(std::sin(b))});
  }
  EXPECT_EQ(mutual(pairs, 2, pairs, 2, 1), 1.0);
  EXPECT_EQ(mutual(pairs, 2, others, 2, 1), 0.0);
}

TEST_P(SimilarityTest, MutualNeighboursErrors) {
  const auto message = [&](const std::vector<float>& x, const std::vector<float>& y, int64_t k,
                           int64_t tile = 9) {
    return message_of<InvalidArgument>([&] { mutual(x, 2, y, 2, k, tile); });
  };
  const std::vector<float> three = {1, 0, 0, 1, 1, 1};
  EXPECT_EQ(message(three, {1, 0, 0, 1}, 1),
            "mutual_knn: row i belongs to row i, expected equally many rows, found 3 and 2");
  EXPECT_EQ(message(three, three, 3), "mutual_knn: k, expected 1 to 2 (other rows), found 3");
  EXPECT_EQ(message(three, three, 0), "mutual_knn: k, expected 1 to 2 (other rows), found 0");
  EXPECT_EQ(message(three, three, 1, 0), "mutual_knn: tile, expected at least 1, found 0");
  EXPECT_EQ(message({1, 0}, {1, 0}, 1), "mutual_knn: expected at least 2 rows, found [1, 2] and [1, 2]");
  EXPECT_EQ(message({1, 0, 0, 0, 1, 1}, three, 1),
            "mutual_knn: row 1, expected a row with a direction, found one of length 0");
  EXPECT_EQ(message(three, {1, 0, 0, 1, kNan, 1}, 1).rfind("mutual_knn: row 2, ", 0), 0u);
}

// --- CKA

struct CkaOracle {
  double biased, unbiased;
};

/// Straight from the definitions: the biased one from HKH and HLH; the unbiased one by the formula of Song et
/// al., whose kernels are NOT centred but only have their diagonals removed.
CkaOracle cka_oracle(const std::vector<float>& x, int64_t dx, const std::vector<float>& y, int64_t dy) {
  const size_t n = x.size() / size_t(dx);
  const auto gram = [n](const std::vector<float>& rows, int64_t d) {
    Doubles k(n * n);
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j)
        for (size_t c = 0; c < size_t(d); ++c)
          k[i * n + j] += double(rows[i * size_t(d) + c]) * double(rows[j * size_t(d) + c]);
    return k;
  };
  const auto row_sums = [n](const Doubles& k) {
    Doubles sums(n);
    for (size_t i = 0; i < n; ++i)
      sums[i] = std::accumulate(k.begin() + long(i * n), k.begin() + long((i + 1) * n), 0.0);
    return sums;
  };
  const auto centred = [&](Doubles k) {
    const Doubles sums = row_sums(k);
    const double size = double(n), all = std::accumulate(sums.begin(), sums.end(), 0.0);
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) k[i * n + j] += all / (size * size) - (sums[i] + sums[j]) / size;
    return k;
  };
  const auto inner = [](const Doubles& a, const Doubles& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const auto hsic = [&](Doubles k, Doubles l) {
    for (size_t i = 0; i < n; ++i) k[i * n + i] = l[i * n + i] = 0;
    const Doubles a = row_sums(k), b = row_sums(l), ones(n, 1.0);
    const double size = double(n);
    return inner(k, l) + inner(a, ones) * inner(b, ones) / ((size - 1) * (size - 2)) -
           2 / (size - 2) * inner(a, b);
  };
  const Doubles k = gram(x, dx), l = gram(y, dy), kc = centred(k), lc = centred(l);
  return {inner(kc, lc) / std::sqrt(inner(kc, kc) * inner(lc, lc)),
          hsic(k, l) / std::sqrt(hsic(k, k) * hsic(l, l))};
}

/// y partly depends on x.
std::vector<float> related(const std::vector<float>& x, int64_t n, int64_t dx, int64_t dy, uint64_t seed) {
  std::vector<float> y = random_normal(n * dy, seed);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < std::min(dx, dy); ++j)
      y[size_t(i * dy + j)] += 0.7f * x[size_t(i * dx + j)] + 0.3f * float(j);
  return y;
}

TEST_P(SimilarityTest, CkaAgreesWithItsDefinition) {
  for (const int64_t n : {5, 31, 33, 65})
    for (const auto& [dx, dy] : {std::pair<int64_t, int64_t>{1, 2}, {2, 33}, {31, 3}, {33, 31}}) {
      SCOPED_TRACE(std::to_string(n) + ", " + std::to_string(dx) + ", " + std::to_string(dy));
      const std::vector<float> x = random_normal(n * dx, uint64_t(n)), y = related(x, n, dx, dy, 9);
      const CkaOracle expected = cka_oracle(x, dx, y, dy);
      for (const CkaForm form : {CkaForm::kAuto, CkaForm::kFeatures, CkaForm::kGram})
        for (const int64_t tile : {3, 32, 1000}) {
          const LinearCka found = cka(x, dx, y, dy, {.form = form, .tile = tile});
          EXPECT_WITHIN(std::abs(found.biased - expected.biased), 1e-12);
          ASSERT_TRUE(found.unbiased.has_value());
          EXPECT_WITHIN(std::abs(*found.unbiased - expected.unbiased),
                        1e-11 * (1 + std::abs(expected.unbiased)));
        }
    }
}

TEST_P(SimilarityTest, CkaIsInvariantToRotationShiftAndScale) {
  const int64_t n = 50, d = 2;
  const std::vector<float> x = random_normal(n * d, 1);
  std::vector<float> turned;
  for (int64_t i = 0; i < n; ++i) {
    const float a = x[size_t(2 * i)], b = x[size_t(2 * i + 1)];
    turned.insert(turned.end(), {64 * (0.6f * a - 0.8f * b) + 3, 64 * (0.8f * a + 0.6f * b) - 5});
  }
  for (const CkaForm form : {CkaForm::kFeatures, CkaForm::kGram}) {
    EXPECT_WITHIN(std::abs(cka(x, d, turned, d, {.form = form}).biased - 1), 1e-10);
    EXPECT_WITHIN(std::abs(*cka(x, d, turned, d, {.form = form}).unbiased - 1), 1e-9);
  }
}

TEST_P(SimilarityTest, CkaOfSmallDifferencesFarFromZero) {
  const int64_t n = 40, dx = 5, dy = 4;
  // Multiples of 2^-10 near 8000, which are exact in float.
  const auto grid = [](std::vector<float> values, float offset) {
    for (float& value : values) value = std::round(value * 8) / 1024 + offset;
    return values;
  };
  const std::vector<float> base = random_normal(n * dx, 1), more = related(base, n, dx, dy, 2);
  const std::vector<float> x = grid(base, 0), y = grid(more, 0), far_x = grid(base, 8000),
                           far_y = grid(more, -4000);
  for (const CkaForm form : {CkaForm::kFeatures, CkaForm::kGram}) {
    const LinearCka near = cka(x, dx, y, dy, {.form = form}), far = cka(far_x, dx, far_y, dy, {.form = form});
    EXPECT_WITHIN(std::abs(near.biased - far.biased), 1e-8);
    EXPECT_WITHIN(std::abs(*near.unbiased - *far.unbiased), 1e-8);
    EXPECT_GT(near.biased, 0.1);
  }
}

TEST_P(SimilarityTest, UnbiasedCkaOfUnrelatedSetsIsNearZero) {
  const int64_t n = 40, d = 300;
  const LinearCka found = cka(random_normal(n * d, 1), d, random_normal(n * d, 2), d);
  EXPECT_GT(found.biased, 0.8);
  EXPECT_WITHIN(std::abs(*found.unbiased), 0.1);
}

TEST_P(SimilarityTest, CkaOfFewRowsHasNoUnbiasedEstimate) {
  const std::vector<float> two = {1, 2, 4, 3};
  EXPECT_WITHIN(std::abs(cka(two, 2, {5, 9}, 1).biased - 1), 1e-12);  // two points lie on a line
  EXPECT_FALSE(cka(two, 2, {5, 9}, 1).unbiased.has_value());
  EXPECT_FALSE(cka({1, 2, 4}, 1, {1, 3, 3}, 1).unbiased.has_value());
  EXPECT_TRUE(cka({1, 2, 4, 9}, 1, {1, 3, 3, 1}, 1).unbiased.has_value());
}

TEST_P(SimilarityTest, CkaErrors) {
  const auto message = [&](const std::vector<float>& x, const std::vector<float>& y,
                           const LinearCkaOptions& options = {}) {
    return message_of<InvalidArgument>([&] { cka(x, 2, y, 2, options); });
  };
  const std::vector<float> three = {1, 0, 0, 1, 1, 1};
  EXPECT_EQ(message(three, {1, 0}),
            "linear_cka: row i belongs to row i, expected equally many rows, found 3 and 1");
  EXPECT_EQ(message({1, 0}, {1, 0}), "linear_cka: expected at least 2 rows, found [1, 2] and [1, 2]");
  EXPECT_EQ(message(three, {.1f, .2f, .1f, .2f, .1f, .2f}),
            "linear_cka: y: expected rows that differ, found 3 equal ones");
  EXPECT_EQ(message({0, 0, 0, 0, 0, 0}, three),
            "linear_cka: x: expected rows that differ, found 3 equal ones");
  EXPECT_EQ(message({1, 0, kNan, 0, 1, 1}, three).rfind("linear_cka: x: column_mean: expected finite", 0),
            0u);
  EXPECT_EQ(message(three, three, {.tile = 0}), "linear_cka: tile, expected at least 1, found 0");
}

}  // namespace lib_similarity_test
}  // namespace sotalign
