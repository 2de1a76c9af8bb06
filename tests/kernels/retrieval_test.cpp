// The operations behind retrieval and nearest-neighbour search, each on its own: shapes, strides, ties,
// hostile values that the library does not produce, and memory that must stay untouched.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/match_scores.h"
#include "kernels/retrieval_rank.h"
#include "kernels/top_k.h"
#include "sotalign/core/buffer.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign {
namespace kernels_retrieval_test {

using testing::random_normal;
using testing::random_uniform;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Compares bits: NaN equals itself, and -0 differs from 0.
void expect_same_bits(const Floats& actual, const Floats& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0);
}

/// x [rows, cols] with `padding` entries of `filler` after each row.
Floats padded(const Floats& x, int64_t rows, int64_t cols, int64_t padding, float filler) {
  Floats result(static_cast<size_t>(rows * (cols + padding)), filler);
  for (int64_t i = 0; i < rows; ++i)
    std::copy_n(x.begin() + i * cols, cols, result.begin() + i * (cols + padding));
  return result;
}

class RetrievalKernels : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(RetrievalKernels);

// --- match_scores ---

struct MatchProblem {
  int64_t rows = 0, cols = 0;
  Floats queries, gallery;
  std::vector<int32_t> groups;
  std::vector<int64_t> offsets, members;
  Floats corrections = {};
};

/// Groups of 0, 1, 2 ... members, scattered over the gallery, and `rows` queries whose groups follow in no
/// order.
MatchProblem random_match_problem(int64_t rows, int64_t cols, uint64_t seed) {
  MatchProblem p;
  p.rows = rows;
  p.cols = cols;
  p.queries = random_normal(rows * cols, seed);
  constexpr int64_t kGroups = 9;
  p.offsets = {0};
  for (int64_t group = 0; group < kGroups; ++group) p.offsets.push_back(p.offsets.back() + group);
  p.members.resize(static_cast<size_t>(p.offsets.back()));
  std::iota(p.members.begin(), p.members.end(), 0);
  std::shuffle(p.members.begin(), p.members.end(), std::mt19937_64(seed));
  p.gallery = random_normal(p.offsets.back() * cols, seed + 1);
  for (int64_t i = 0; i < rows; ++i) p.groups.push_back(static_cast<int32_t>((i * 5 + 3) % kGroups));
  return p;
}

/// Checks the guard values after the results.
Floats match_scores(Context& context, const MatchProblem& p, int64_t padding = 0) {
  const int64_t stride = p.cols + padding;
  const int64_t gallery_rows = static_cast<int64_t>(p.members.size());
  const Buffer<float> queries(context, padded(p.queries, p.rows, p.cols, padding, kNan));
  const Buffer<float> gallery(context, padded(p.gallery, gallery_rows, p.cols, padding, kNan));
  const Buffer<int32_t> groups(context, p.groups);
  const Buffer<int64_t> offsets(context, p.offsets), members(context, p.members);
  const Buffer<float> corrections(context, p.corrections);
  Buffer<float> best(context, Floats(static_cast<size_t>(p.rows) + 1, 7.0f));
  kernels::match_scores(context.queue(), {.queries = queries.data(),
                                          .queries_stride = stride,
                                          .gallery = gallery.data(),
                                          .gallery_stride = stride,
                                          .groups = groups.data(),
                                          .offsets = offsets.data(),
                                          .members = members.data(),
                                          .corrections = corrections.data(),
                                          .rows = p.rows,
                                          .cols = p.cols,
                                          .best = best.data()});
  Floats result = best.download();
  EXPECT_EQ(result.back(), 7.0f);
  result.pop_back();
  return result;
}

TEST_P(RetrievalKernels, MatchScoresAgreeWithLoops) {
  for (const int64_t rows : {1, 2, 31, 33})
    for (const int64_t cols : {1, 2, 31, 32, 33, 127, 257}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
      const MatchProblem p = random_match_problem(rows, cols, uint64_t(cols));
      const Floats best = match_scores(context, p, 3);
      for (int64_t i = 0; i < rows; ++i) {
        double expected = -std::numeric_limits<double>::infinity(), magnitude = 0;
        for (int64_t l = p.offsets[p.groups[i]]; l < p.offsets[p.groups[i] + 1]; ++l) {
          double sum = 0;
          for (int64_t j = 0; j < cols; ++j) {
            const double term = double(p.queries[i * cols + j]) * double(p.gallery[p.members[l] * cols + j]);
            sum += term;
            magnitude += std::abs(term);
          }
          expected = std::max(expected, sum);
        }
        if (p.groups[i] == 0)
          EXPECT_TRUE(std::isnan(best[i]));  // no match exists
        else                                 // summed in double, rounded to float
          EXPECT_WITHIN(std::abs(best[i] - expected), 6e-8 * std::abs(expected) + 1e-14 * magnitude);
      }
      expect_same_bits(match_scores(context, p, 3), best);
    }
}

TEST_P(RetrievalKernels, MatchScoresSubtractTheCorrectionOfTheGalleryRow) {
  for (const int64_t cols : {1, 33, 127}) {
    MatchProblem p = random_match_problem(31, cols, uint64_t(cols));
    p.corrections = random_normal(static_cast<int64_t>(p.members.size()), 9, 3.0f);
    p.corrections[0] = 1e30f;
    const Floats best = match_scores(context, p, 2);
    int64_t changed = 0;  // queries whose best row is another one than without corrections
    for (int64_t i = 0; i < p.rows; ++i) {
      double expected = -std::numeric_limits<double>::infinity(), plain = expected;
      int64_t at = -1, plain_at = -1;
      for (int64_t l = p.offsets[p.groups[i]]; l < p.offsets[p.groups[i] + 1]; ++l) {
        double sum = 0;
        for (int64_t j = 0; j < cols; ++j)
          sum += double(p.queries[i * cols + j]) * double(p.gallery[p.members[l] * cols + j]);
        if (sum > plain) plain = sum, plain_at = l;
        sum -= double(p.corrections[p.members[l]]);
        if (sum > expected) expected = sum, at = l;
      }
      changed += at != plain_at;
      if (at < 0)
        EXPECT_TRUE(std::isnan(best[i]));
      else
        EXPECT_WITHIN(std::abs(best[i] - expected), 6e-8 * std::abs(expected) + 1e-12);
    }
    EXPECT_GT(changed, 0);  // otherwise the test would be weak
    expect_same_bits(match_scores(context, p, 2), best);
    p.corrections.assign(p.corrections.size(), 0.0f);
    MatchProblem none = p;
    none.corrections.clear();
    expect_same_bits(match_scores(context, p), match_scores(context, none));
  }
}

TEST_P(RetrievalKernels, MatchScoresPreferNumbersToNan) {
  const int64_t cols = 33;
  MatchProblem p = random_match_problem(18, cols, 1);
  const Floats clean = match_scores(context, p);
  MatchProblem spoilt = p;
  spoilt.queries[4 * cols + 32] = kNan;
  // The first member of group 2 (queries 7 and 16) and the only member of group 1 (queries 5 and 14).
  spoilt.gallery[p.members[p.offsets[2]] * cols] = kNan;
  spoilt.gallery[p.members[p.offsets[1]] * cols + 5] = kNan;
  const Floats best = match_scores(context, spoilt);
  for (int64_t i = 0; i < p.rows; ++i) {
    SCOPED_TRACE(i);
    if (p.groups[i] == 2) {
      double other = 0;
      for (int64_t j = 0; j < cols; ++j)
        other += double(p.queries[i * cols + j]) * double(p.gallery[p.members[p.offsets[2] + 1] * cols + j]);
      EXPECT_FLOAT_EQ(best[i], float(other));
    } else if (i == 4 || p.groups[i] <= 1) {
      EXPECT_TRUE(std::isnan(best[i]));
    } else {
      EXPECT_EQ(best[i], clean[i]);
    }
  }
  spoilt.gallery[p.members[p.offsets[1]] * cols + 5] =
      spoilt.queries[5 * cols + 5] < 0 ? -kInfinity : kInfinity;
  EXPECT_EQ(match_scores(context, spoilt)[5], kInfinity);
}

TEST_P(RetrievalKernels, MatchScoresDoNotDependOnTheOtherQueries) {
  const int64_t cols = 257;
  const MatchProblem all = random_match_problem(33, cols, 2);
  const Floats best = match_scores(context, all);
  for (const int64_t i : {1, 6, 32}) {
    MatchProblem one = all;
    one.rows = 1;
    one.queries.assign(all.queries.begin() + i * cols, all.queries.begin() + (i + 1) * cols);
    one.groups = {all.groups[i]};
    expect_same_bits(match_scores(context, one), {best[i]});
  }
}

// --- retrieval_rank ---

struct RankProblem {
  int64_t rows, cols;
  Floats scores, row_best, col_best;
  std::vector<int32_t> row_groups, col_groups;
  float margin = 0.125f;
  Floats row_corrections = {}, col_corrections = {};
};

/// Scores and best scores are multiples of 1/8, so that ties and scores exactly at a threshold are frequent;
/// a tenth of the pairs belong together.
RankProblem random_rank_problem(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto eighths = [&](int64_t count) {
    Floats values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(engine() % 17) / 8 - 1;
    return values;
  };
  const auto groups = [&](int64_t count) {
    std::vector<int32_t> values(static_cast<size_t>(count));
    for (int32_t& value : values) value = static_cast<int32_t>(engine() % 10);
    return values;
  };
  return {rows, cols, eighths(rows * cols), eighths(rows), eighths(cols), groups(rows), groups(cols)};
}

struct RankCounts {
  std::vector<int64_t> rows, cols;
  bool operator==(const RankCounts&) const = default;
};

/// Initial counts, which the operation adds to: numbers beyond 32 bits, and a guard after each list.
RankCounts initial_counts(const RankProblem& p) {
  RankCounts counts{std::vector<int64_t>(size_t(p.rows) + 1), std::vector<int64_t>(size_t(p.cols) + 1)};
  std::iota(counts.rows.begin(), counts.rows.end(), int64_t{5'000'000'000});
  std::iota(counts.cols.begin(), counts.cols.end(), int64_t{7'000'000'000});
  return counts;
}

RankCounts retrieval_rank(Context& context, const RankProblem& p, int64_t padding = 0) {
  const RankCounts before = initial_counts(p);
  // Padding of NaN would be counted if it were read.
  const Buffer<float> scores(context, padded(p.scores, p.rows, p.cols, padding, kNan));
  const Buffer<float> row_best(context, p.row_best), col_best(context, p.col_best);
  const Buffer<int32_t> row_groups(context, p.row_groups), col_groups(context, p.col_groups);
  const Buffer<float> row_corrections(context, p.row_corrections),
      col_corrections(context, p.col_corrections);
  Buffer<int64_t> row_counts(context, before.rows), col_counts(context, before.cols);
  kernels::retrieval_rank(context.queue(), {.scores = scores.data(),
                                            .scores_stride = p.cols + padding,
                                            .rows = p.rows,
                                            .cols = p.cols,
                                            .row_groups = row_groups.data(),
                                            .col_groups = col_groups.data(),
                                            .row_best = row_best.data(),
                                            .col_best = col_best.data(),
                                            .row_corrections = row_corrections.data(),
                                            .col_corrections = col_corrections.data(),
                                            .margin = p.margin,
                                            .row_counts = row_counts.data(),
                                            .col_counts = col_counts.data()});
  return {row_counts.download(), col_counts.download()};
}

RankCounts rank_oracle(const RankProblem& p) {
  RankCounts counts = initial_counts(p);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.cols; ++j) {
      if (p.row_groups[i] == p.col_groups[j]) continue;
      const float score = p.scores[i * p.cols + j];
      const float row_threshold = p.row_best[i] - p.margin, col_threshold = p.col_best[j] - p.margin;
      const float row_correction = p.row_corrections.empty() ? 0.0f : p.row_corrections[i],
                  col_correction = p.col_corrections.empty() ? 0.0f : p.col_corrections[j];
      const float for_row = score - col_correction, for_col = score - row_correction;
      if (!(for_row < row_threshold)) ++counts.rows[i];
      if (!(for_col < col_threshold)) ++counts.cols[j];
    }
  return counts;
}

TEST_P(RetrievalKernels, RankAgreesWithLoops) {
  for (const int64_t rows : {1, 2, 3, 31, 63, 64, 65, 127, 257})
    for (const int64_t cols : {1, 2, 31, 33, 127, 511, 512, 513, 1025}) {
      const RankProblem p = random_rank_problem(rows, cols, uint64_t(rows * cols));
      EXPECT_EQ(retrieval_rank(context, p, 5), rank_oracle(p)) << rows << " x " << cols;
    }
}

TEST_P(RetrievalKernels, RankSubtractsTheCorrectionOfTheGallerySide) {
  std::mt19937_64 engine(3);
  const auto eighths = [&](int64_t count) {
    Floats values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(engine() % 9) / 8 - 0.5f;
    return values;
  };
  for (const int64_t rows : {1, 2, 33, 64, 65, 127})
    for (const int64_t cols : {1, 2, 31, 127, 513, 1025}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
      RankProblem p = random_rank_problem(rows, cols, uint64_t(rows + cols));
      const RankCounts plain = retrieval_rank(context, p, 5);
      RankProblem zeros = p;
      zeros.row_corrections.assign(static_cast<size_t>(rows), 0.0f);
      zeros.col_corrections.assign(static_cast<size_t>(cols), 0.0f);
      EXPECT_EQ(retrieval_rank(context, zeros, 5), plain);
      for (const bool of_rows : {false, true})
        for (const bool of_cols : {false, true}) {
          p.row_corrections = of_rows ? eighths(rows) : Floats{};
          p.col_corrections = of_cols ? eighths(cols) : Floats{};
          if (of_rows) p.row_corrections[rows / 2] = -1e38f;
          if (of_cols) p.col_corrections[cols / 2] = 1e38f;
          const RankCounts found = retrieval_rank(context, p, 5);
          EXPECT_EQ(found, rank_oracle(p));
          // Each side's corrections leave the counts of that side's own queries alone.
          EXPECT_TRUE(of_cols || found.rows == plain.rows);
          EXPECT_TRUE(of_rows || found.cols == plain.cols);
        }
    }
}

TEST_P(RetrievalKernels, RankCountsEveryWrongAnswerOfEqualScores) {
  RankProblem p = random_rank_problem(129, 700, 1);
  p.scores.assign(p.scores.size(), 0.5f);
  p.row_best.assign(p.row_best.size(), 0.5f);
  p.col_best.assign(p.col_best.size(), 0.5f);
  for (const float margin : {0.0f, 0.125f}) {
    p.margin = margin;
    std::fill(p.col_groups.begin(), p.col_groups.end(), -1);
    RankCounts expected = initial_counts(p);
    for (int64_t i = 0; i < p.rows; ++i) expected.rows[i] += p.cols;
    for (int64_t j = 0; j < p.cols; ++j) expected.cols[j] += p.rows;
    EXPECT_EQ(retrieval_rank(context, p), expected);
    // Answers in the same group are not wrong.
    std::fill(p.row_groups.begin(), p.row_groups.end(), -1);
    EXPECT_EQ(retrieval_rank(context, p), initial_counts(p));
    std::iota(p.row_groups.begin(), p.row_groups.end(), 0);
  }
}

TEST_P(RetrievalKernels, RankComparesWithTheRoundedThreshold) {
  RankProblem p = random_rank_problem(65, 129, 2);
  p.margin = 1e-6f;
  p.row_best = random_uniform(p.rows, 3);
  p.col_best = random_uniform(p.cols, 4);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.cols; ++j) {
      // At a threshold, or one float above or below it.
      const float threshold = (i + j) % 2 ? p.row_best[i] - p.margin : p.col_best[j] - p.margin;
      const int step = static_cast<int>((i * 7 + j) % 3) - 1;
      p.scores[i * p.cols + j] = step == 0 ? threshold : std::nextafter(threshold, float(step) * kInfinity);
    }
  EXPECT_EQ(retrieval_rank(context, p), rank_oracle(p));
}

TEST_P(RetrievalKernels, RankCountsNanAgainstTheModel) {
  RankProblem p = random_rank_problem(67, 130, 5);
  for (size_t e = 0; e < p.scores.size(); e += 7) p.scores[e] = kNan;
  for (size_t e = 3; e < p.scores.size(); e += 11) p.scores[e] = e % 2 ? kInfinity : -kInfinity;
  p.row_corrections = random_normal(p.rows, 6);
  p.col_corrections = random_normal(p.cols, 7);
  for (const size_t i : {0, 13, 66}) p.row_best[i] = kNan;
  for (const size_t j : {1, 64, 129}) p.col_best[j] = kNan;
  p.row_best[5] = kInfinity;
  p.col_best[5] = -kInfinity;
  const RankCounts found = retrieval_rank(context, p, 1);
  EXPECT_EQ(found, rank_oracle(p));
  const auto wrong = std::count_if(p.col_groups.begin(), p.col_groups.end(),
                                   [&](int32_t group) { return group != p.row_groups[13]; });
  EXPECT_EQ(found.rows[13] - initial_counts(p).rows[13], wrong);
}

// --- top_k ---

struct Lists {
  Floats values;
  std::vector<int64_t> indices;
};

void expect_same(const Lists& actual, const Lists& expected) {
  EXPECT_EQ(actual.indices, expected.indices);
  expect_same_bits(actual.values, expected.values);
}

/// Processes tiles of `width` columns, whose padding would win if it were read. Checks a guard after the
/// lists.
Lists top_k(Context& context, const Floats& scores, int64_t rows, int64_t cols, int64_t k, int64_t width,
            int64_t first_col = 0, const Floats& all_corrections = {}) {
  const Buffer<float> corrections(context, all_corrections);
  const size_t entries = static_cast<size_t>(rows * k);
  Buffer<float> values(context, Floats(entries + 1, -kInfinity));
  Buffer<int64_t> indices(context, std::vector<int64_t>(entries + 1, -1));
  for (int64_t first = 0; first < cols; first += width) {
    const int64_t count = std::min(width, cols - first);
    Floats tile;
    for (int64_t i = 0; i < rows; ++i) {
      const auto begin = scores.begin() + i * cols + first;
      tile.insert(tile.end(), begin, begin + count);
      tile.insert(tile.end(), 3, kInfinity);
    }
    const Buffer<float> on_device(context, tile);
    kernels::top_k(context.queue(),
                   {.tile = on_device.data(),
                    .tile_stride = count + 3,
                    .corrections = all_corrections.empty() ? nullptr : corrections.data() + first,
                    .rows = rows,
                    .cols = count,
                    .first_col = first_col + first,
                    .k = k,
                    .values = values.data(),
                    .indices = indices.data()});
  }
  Lists lists{values.download(), indices.download()};
  EXPECT_EQ(lists.values.back(), -kInfinity);
  EXPECT_EQ(lists.indices.back(), -1);
  lists.values.pop_back();
  lists.indices.pop_back();
  return lists;
}

Lists top_k_oracle(const Floats& scores, int64_t rows, int64_t cols, int64_t k, int64_t first_col = 0) {
  Lists lists;
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<int64_t> order;
    for (int64_t j = 0; j < cols; ++j)
      if (scores[i * cols + j] > -kInfinity) order.push_back(j);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return scores[i * cols + a] > scores[i * cols + b]; });
    for (int64_t r = 0; r < k; ++r) {
      const bool found = r < static_cast<int64_t>(order.size());
      lists.values.push_back(found ? scores[i * cols + order[r]] : -kInfinity);
      lists.indices.push_back(found ? first_col + order[r] : -1);
    }
  }
  return lists;
}

TEST_P(RetrievalKernels, TopKAgreesWithSorting) {
  for (const int64_t rows : {1, 2, 5, 33})
    for (const int64_t cols : {1, 2, 31, 33, 127, 300}) {
      const Floats scores = random_normal(rows * cols, uint64_t(rows + cols));
      for (const int64_t k : {int64_t{1}, int64_t{10}, cols - 1, cols, cols + 40}) {
        if (k < 1) continue;
        const Lists expected = top_k_oracle(scores, rows, cols, k);
        for (const int64_t width : {cols / 9, int64_t{101}, cols}) {
          if (width < 1 || width > cols) continue;
          SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) + ", k " + std::to_string(k) +
                       ", tiles of " + std::to_string(width));
          expect_same(top_k(context, scores, rows, cols, k, width), expected);
        }
      }
    }
}

TEST_P(RetrievalKernels, TopKOfLongRowsInEveryOrder) {
  const int64_t rows = 3, cols = 1501;
  Floats random = random_normal(rows * cols, 1), rising(random.size()), few(random.size());
  std::iota(rising.begin(), rising.end(), 0.0f);
  for (size_t e = 0; e < few.size(); ++e) few[e] = std::round(random[e]);  // -4 ... 4, with both zeros
  const Floats falling(rising.rbegin(), rising.rend()), equal(random.size(), 0.25f);
  for (const Floats& scores : {random, rising, falling, few, equal})
    for (const int64_t k : {1, 5, 129, 1000, 1501}) {
      const Lists expected = top_k_oracle(scores, rows, cols, k);
      for (const int64_t width : {cols, int64_t{257}, int64_t{700}})
        expect_same(top_k(context, scores, rows, cols, k, width), expected);
    }
}

TEST_P(RetrievalKernels, TopKNeverTakesNanNorMinusInfinity) {
  const int64_t rows = 5, cols = 333;
  Floats scores = random_normal(rows * cols, 2);
  for (size_t e = 0; e < scores.size(); ++e)
    if (e % 3 != 0) scores[e] = e % 3 == 1 ? kNan : -kInfinity;
  std::fill_n(scores.begin() + cols, cols, kNan);            // row 1: none
  std::fill_n(scores.begin() + 2 * cols, cols, -kInfinity);  // row 2: none
  std::fill_n(scores.begin() + 3 * cols, cols, kInfinity);   // row 3: the first k
  scores[4 * cols + 332] = kInfinity;
  for (const int64_t k : {1, 40, 200, 333})
    for (const int64_t width : {50, 333})
      expect_same(top_k(context, scores, rows, cols, k, width), top_k_oracle(scores, rows, cols, k));
}

TEST_P(RetrievalKernels, TopKSubtractsTheCorrectionOfTheColumn) {
  for (const int64_t rows : {1, 5})
    for (const int64_t cols : {1, 31, 33, 127, 300}) {
      Floats scores = random_normal(rows * cols, uint64_t(rows + cols));
      for (size_t e = 0; e < scores.size(); e += 5) scores[e] = kNan;
      for (size_t e = 1; e < scores.size(); e += 7) scores[e] = -kInfinity;
      Floats corrections = random_normal(cols, 5);
      corrections[cols / 2] = 1e30f;
      Floats differences = scores;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < cols; ++j) differences[i * cols + j] = scores[i * cols + j] - corrections[j];
      for (const int64_t k : {int64_t{1}, int64_t{10}, cols})
        for (const int64_t width : {int64_t{29}, cols})
          expect_same(top_k(context, scores, rows, cols, k, width, 0, corrections),
                      top_k_oracle(differences, rows, cols, k));
      expect_same(top_k(context, scores, rows, cols, cols, cols, 0, Floats(corrections.size())),
                  top_k(context, scores, rows, cols, cols, cols));
    }
}

TEST_P(RetrievalKernels, TopKNumbersColumnsBeyond32Bits) {
  const int64_t cols = 100, first_col = 5'000'000'000;
  const Floats scores = random_normal(cols, 3);
  expect_same(top_k(context, scores, 1, cols, 20, 33, first_col),
              top_k_oracle(scores, 1, cols, 20, first_col));
}

}  // namespace kernels_retrieval_test
}  // namespace sotalign
