// Cross-validation of the teacher's hyperparameters: against refitting every fold, planted problems, groups,
// few pairs.
#include "sotalign/teacher/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "sotalign/eval/retrieval.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"
#include "teacher/folds.h"

namespace sotalign {
namespace lib_teacher_search_test {

using testing::random_normal;

struct Pairs {
  int64_t p, dx, dy;
  std::vector<float> a, b;
  ConstMatrixF host_a() const { return {a.data(), p, dx}; }
  ConstMatrixF host_b() const { return {b.data(), p, dy}; }
};

/// Column j of the hidden rows, scaled by `strength`, adds to column j of both sides; the rest is noise.
Pairs make_pairs(int64_t p, int64_t dx, int64_t dy, int64_t factors, float strength,
                 const std::vector<float>& noise, uint64_t seed) {
  const std::vector<float> hidden = random_normal(p * factors, seed, strength);
  Pairs pairs{p, dx, dy, random_normal(p * dx, seed + 1), random_normal(p * dy, seed + 2)};
  for (int64_t i = 0; i < p; ++i) {
    for (int64_t j = 0; j < dx; ++j) pairs.a[i * dx + j] *= noise[std::min<size_t>(j, noise.size() - 1)];
    for (int64_t j = 0; j < dy; ++j) pairs.b[i * dy + j] *= noise[std::min<size_t>(j, noise.size() - 1)];
    for (int64_t j = 0; j < factors; ++j) {
      pairs.a[i * dx + j] += hidden[i * factors + j];
      pairs.b[i * dy + j] += hidden[i * factors + j];
    }
  }
  return pairs;
}

Pairs take(const Pairs& from, const std::vector<int64_t>& rows) {
  Pairs taken{static_cast<int64_t>(rows.size()), from.dx, from.dy, {}, {}};
  for (const int64_t i : rows) {
    taken.a.insert(taken.a.end(), from.host_a().row(i), from.host_a().row(i) + from.dx);
    taken.b.insert(taken.b.end(), from.host_b().row(i), from.host_b().row(i) + from.dy);
  }
  return taken;
}

std::vector<int64_t> iota(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

/// A search solves many small problems, and an emulated device manages some hundreds per second: only a few
/// tests run on every device.
class SearchTest {
 protected:
  explicit SearchTest(Device device) : context(device) {}
  TeacherSearch search(const Pairs& pairs, const TeacherOptions& options) {
    const Matrix<float> a(context, pairs.a.data(), pairs.p, pairs.dx),
        b(context, pairs.b.data(), pairs.p, pairs.dy);
    return search_teacher(context, a, b, options);
  }
  /// Compares each candidate's score with that of its teacher refitted in every fold on the CPU.
  static void expect_as_refitted(const TeacherSearch& found, const Pairs& pairs,
                                 const TeacherOptions& asked) {
    Context cpu;
    const std::vector<int64_t> groups = detail::group_pairs(pairs.host_a(), pairs.host_b());
    for (const TeacherCandidate& candidate : found.candidates) {
      TeacherOptions options = asked;
      options.ridge = candidate.ridge, options.correlation_power = candidate.correlation_power;
      double hits = 0, reciprocal = 0;
      int64_t folds = 0, left_out = 0;
      for (int64_t round = 0; left_out < 500; ++round)
        for (const detail::Fold& fold : detail::divide_pairs(groups, 5, asked.seed, round)) {
          const Pairs kept = take(pairs, fold.kept), rest = take(pairs, fold.left_out);
          const Matrix<float> a(cpu, kept.a.data(), kept.p, kept.dx), b(cpu, kept.b.data(), kept.p, kept.dy);
          options.dim = std::min({candidate.dim, kept.p - 1, kept.dx, kept.dy});
          const Teacher teacher = fit_teacher(cpu, a, b, options);
          Matrix<float> f(cpu, rest.p, teacher.dim()), g(cpu, rest.p, teacher.dim());
          teacher.project(cpu, Side::kX, Matrix<float>(cpu, rest.a.data(), rest.p, rest.dx), f);
          teacher.project(cpu, Side::kY, Matrix<float>(cpu, rest.b.data(), rest.p, rest.dy), g);
          RetrievalOptions ids;
          for (const int64_t pair : fold.left_out) ids.image_ids.push_back(groups[pair]);
          ids.text_ids = ids.image_ids;
          const RetrievalRanks ranks = retrieval_ranks(cpu, f, g, ids);
          for (const auto* side : {&ranks.image_to_text, &ranks.text_to_image})
            for (const int64_t rank : *side) hits += rank == 1, reciprocal += 1.0 / static_cast<double>(rank);
          left_out += rest.p, ++folds;
        }
      EXPECT_EQ(found.folds, folds);
      EXPECT_EQ(found.left_out, left_out);
      const double queries = 2 * static_cast<double>(left_out);
      SCOPED_TRACE(std::to_string(candidate.ridge) + ", " + std::to_string(candidate.dim) + ", " +
                   std::to_string(candidate.correlation_power));
      EXPECT_WITHIN(std::abs(candidate.mean_r1 - hits / queries), 1e-12);
      EXPECT_WITHIN(std::abs(candidate.mean_reciprocal_rank - reciprocal / queries), 1e-12);
    }
  }

  Context context;
};

class TeacherSearchTest : public SearchTest, public ::testing::Test {
 protected:
  TeacherSearchTest() : SearchTest({}) {}
};
class TeacherSearchDeviceTest : public SearchTest, public ::testing::TestWithParam<Device> {
 protected:
  TeacherSearchDeviceTest() : SearchTest(GetParam()) {}
};
SOTALIGN_ON_EVERY_DEVICE(TeacherSearchDeviceTest);

TEST_P(TeacherSearchDeviceTest, CandidatesScoreAsTeachersThatAreFittedInEveryFold) {
  const Pairs pairs = make_pairs(251, 20, 18, 9, 1.0f, {1.0f}, 21);
  for (const TeacherKind kind : {TeacherKind::kCca, TeacherKind::kProcrustes}) {
    const TeacherOptions options{.kind = kind, .ridge = 0.3, .dim = std::nullopt};
    const TeacherSearch found = search(pairs, options);
    ASSERT_EQ(found.candidates.size(), 2u);  // 16, all
    expect_as_refitted(found, pairs, options);
  }
}

TEST_F(TeacherSearchTest, CandidatesScoreAsTeachersThatAreFittedInEveryFold) {
  const Pairs many = make_pairs(130, 12, 9, 5, 1.0f, {1.0f}, 1);  // more pairs than columns
  TeacherOptions ridge{.ridge = std::nullopt, .correlation_power = 0.5, .seed = 3};
  const TeacherSearch by_ridge = search(many, ridge);
  ASSERT_EQ(by_ridge.candidates.size(), 9u);
  EXPECT_EQ(by_ridge.folds, 20);  // four rounds, because three leave out only 390
  expect_as_refitted(by_ridge, many, ridge);

  const Pairs few = make_pairs(61, 70, 75, 20, 2.0f, {1.0f}, 2);  // fewer pairs, in folds of 12 and 13
  TeacherOptions dim{.ridge = 0.3, .dim = std::nullopt};
  const TeacherSearch by_dim = search(few, dim);
  ASSERT_EQ(by_dim.candidates.size(), 3u);  // 16, 32, all
  EXPECT_EQ(by_dim.candidates[1].dim, 32);
  EXPECT_EQ(by_dim.candidates[2].dim, 0);
  expect_as_refitted(by_dim, few, dim);
  dim.kind = TeacherKind::kProcrustes;
  expect_as_refitted(search(few, dim), few, dim);
}

TEST_F(TeacherSearchTest, EverythingOpenIsEveryCombination) {
  const Pairs pairs = make_pairs(125, 24, 28, 6, 1.0f, {1.0f}, 4);
  const TeacherOptions open{
      .ridge = std::nullopt, .dim = std::nullopt, .correlation_power = std::nullopt, .seed = 1};
  const TeacherSearch found = search(pairs, open);
  ASSERT_EQ(found.candidates.size(), 9u * 2 * 3);
  expect_as_refitted(found, pairs, open);
  for (const TeacherCandidate& candidate : found.candidates) {
    const bool chosen = candidate.ridge == found.chosen.ridge && candidate.dim == found.chosen.dim &&
                        candidate.correlation_power == found.chosen.correlation_power;
    if (!chosen) continue;
    for (const TeacherCandidate& other : found.candidates) EXPECT_LE(other.mean_r1, candidate.mean_r1);
  }
}

TEST_F(TeacherSearchTest, RidgesFollowTheScaleOfTheRows) {
  Pairs pairs = make_pairs(500, 4, 5, 2, 1.0f, {1.0f}, 5);
  const auto ridges = [&](float scale) {
    Pairs scaled = pairs;
    for (float& x : scaled.a) x *= scale;
    for (float& x : scaled.b) x *= scale;
    std::vector<double> values;
    for (const TeacherCandidate& c : search(scaled, {.ridge = std::nullopt}).candidates)
      values.push_back(c.ridge);
    return values;
  };
  // The total variances are 6 and 7: the nearest of 1, 3, 10 on a logarithmic scale is 10.
  EXPECT_EQ(ridges(1.0f), (std::vector<double>{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10}));
  EXPECT_EQ(ridges(0.1f), (std::vector<double>{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1}));
}

// With fewer pairs than columns, a small ridge fits the noise of weak directions. If the shared signal is
// weak compared with unshared noise, a large ridge makes the teacher follow the noise.
TEST_F(TeacherSearchTest, FindsThePlantedRidge) {
  const TeacherSearch large = search(make_pairs(60, 60, 60, 4, 1.0f, {0.3f}, 6), {.ridge = std::nullopt});
  EXPECT_GE(*large.chosen.ridge, 0.3) << large.reason;
  const std::vector<float> noise = {0.05f, 0.05f, 0.05f, 0.05f, 3.0f};
  const TeacherSearch small =
      search(make_pairs(500, 10, 10, 4, 0.3f, noise, 7), {.ridge = std::nullopt, .correlation_power = 1.0});
  EXPECT_LE(*small.chosen.ridge, 0.1) << small.reason;
  EXPECT_GT(small.candidates.front().mean_r1, small.candidates.back().mean_r1 + 0.4);
}

TEST_F(TeacherSearchTest, FindsThePlantedDimension) {
  const TeacherOptions open{.kind = TeacherKind::kCca, .ridge = 0.01, .dim = std::nullopt};
  const TeacherSearch found = search(make_pairs(200, 64, 64, 16, 1.0f, {0.6f}, 8), open);
  EXPECT_EQ(found.chosen.dim, 16) << found.reason;
  EXPECT_EQ(found.chosen.ridge, 0.01);
  EXPECT_EQ(found.candidates.size(), 3u);
}

TEST_F(TeacherSearchTest, ChoosesAlikeFromTheSameSeedOnly) {
  const Pairs pairs = make_pairs(100, 8, 9, 3, 1.0f, {0.5f}, 9);
  TeacherOptions options{.ridge = std::nullopt, .seed = 4};
  const auto scores = [&] {
    std::vector<double> values;
    for (const TeacherCandidate& c : search(pairs, options).candidates)
      values.push_back(c.mean_reciprocal_rank);
    return values;
  };
  const std::vector<double> first = scores();
  EXPECT_EQ(scores(), first);
  options.seed = 5;
  EXPECT_NE(scores(), first);
}

TEST_F(TeacherSearchTest, FitTeacherChoosesWhatIsOpen) {
  const Pairs pairs = make_pairs(100, 8, 9, 3, 1.0f, {0.5f}, 10);
  const Matrix<float> a(context, pairs.a.data(), pairs.p, pairs.dx),
      b(context, pairs.b.data(), pairs.p, pairs.dy);
  const TeacherOptions open{.ridge = std::nullopt, .seed = 2};
  const TeacherSearch found = search_teacher(context, a, b, open);
  EXPECT_EQ(fit_teacher(context, a, b, open).wx.download(),
            fit_teacher(context, a, b, found.chosen).wx.download());
}

TEST_F(TeacherSearchTest, PairsTwiceChangeNothing) {
  const Pairs once = make_pairs(500, 6, 5, 3, 1.0f, {0.7f}, 11);
  std::vector<int64_t> rows = iota(500), again = iota(500);
  rows.insert(rows.end(), again.begin(), again.end());
  const Pairs twice = take(once, rows);
  const TeacherOptions open{.ridge = std::nullopt};
  const TeacherSearch a = search(once, open), b = search(twice, open);
  EXPECT_EQ(b.left_out, 2 * a.left_out);
  for (size_t i = 0; i < a.candidates.size(); ++i)
    EXPECT_WITHIN(std::abs(a.candidates[i].mean_r1 - b.candidates[i].mean_r1), 1e-12);
}

TEST_F(TeacherSearchTest, TooFewPairsHaveTheDefaults) {
  const TeacherOptions open{.ridge = std::nullopt, .dim = std::nullopt, .correlation_power = std::nullopt};
  const Pairs nine = make_pairs(9, 5, 6, 2, 1.0f, {0.5f}, 12);
  for (const Pairs& pairs : {nine, take(nine, {0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0})}) {
    const TeacherSearch found = search(pairs, open);
    EXPECT_EQ(found.chosen.ridge, 0.1);
    EXPECT_EQ(found.chosen.dim, 0);
    EXPECT_EQ(found.chosen.correlation_power, 0.0);
    EXPECT_TRUE(found.candidates.empty());
    EXPECT_NE(found.reason.find("9 different pairs"), std::string::npos) << found.reason;
  }
  EXPECT_EQ(search(make_pairs(10, 5, 6, 2, 1.0f, {0.5f}, 12), {.ridge = std::nullopt}).candidates.size(), 9u);
  // Nothing to choose, so nothing is computed.
  EXPECT_TRUE(search(nine, {}).candidates.empty());
  EXPECT_TRUE(search(make_pairs(50, 5, 6, 2, 1.0f, {0.5f}, 12),
                     {.kind = TeacherKind::kProcrustes, .ridge = std::nullopt})
                  .candidates.empty());
}

TEST_F(TeacherSearchTest, FoldsWithoutVariationAreLeftOut) {
  // All but eleven pairs share one text. Without that group the pairs vary; with it and few others they may
  // not.
  Pairs pairs = make_pairs(100, 3, 4, 2, 1.0f, {0.5f}, 13);
  for (int64_t i = 11; i < 100; ++i) std::copy_n(pairs.b.begin(), 4, pairs.b.begin() + i * 4);
  const TeacherSearch found = search(pairs, {.ridge = std::nullopt});
  EXPECT_GT(found.folds, 0);
  EXPECT_LE(found.folds, 30);
}

TEST_F(TeacherSearchTest, ErrorsSayWhatIsWrong) {
  const TeacherOptions open{.ridge = std::nullopt};
  const auto message = [&](const Pairs& pairs, const TeacherOptions& options) {
    return testing::error_message([&] { search(pairs, options); });
  };
  Pairs pairs = make_pairs(20, 3, 4, 2, 1.0f, {0.5f}, 14);
  EXPECT_NE(message(pairs, {.ridge = std::nullopt, .dim = 5}).find("dim: expected 0"), std::string::npos);
  EXPECT_NE(message(pairs, {.kind = TeacherKind::kContrastive, .dim = std::nullopt}).find("dim: expected a"),
            std::string::npos);
  pairs.b[4 * 3 + 2] = std::numeric_limits<float>::infinity();
  EXPECT_NE(message(pairs, open).find("b: "), std::string::npos);
  EXPECT_NE(message(pairs, open).find("column 2"), std::string::npos);
  EXPECT_NE(message(make_pairs(1, 3, 3, 1, 1.0f, {1.0f}, 1), open).find("at least 2"), std::string::npos);
}

TEST(TeacherFolds, SharedRowsJoinPairsToGroups) {
  // Pairs 0 and 3 share an image, 3 and 4 a text, 1 and 5 both; 2 shares nothing.
  const std::vector<float> a = {1, 1, 2, 2, 3, 3, 1, 1, 4, 4, 2, 2}, b = {1, 2, 3, 4, 4, 2};
  EXPECT_EQ(detail::group_pairs({a.data(), 6, 2}, {b.data(), 6, 1}),
            (std::vector<int64_t>{0, 1, 2, 0, 0, 1}));
}

TEST(TeacherFolds, DivideEveryPairOnceAndNoGroup) {
  std::vector<int64_t> groups;
  for (int64_t i = 0; i < 47; ++i) groups.push_back(i % 13);
  std::set<std::vector<int64_t>> orders;
  for (int64_t round = 0; round < 3; ++round) {
    std::vector<int> times(47);
    for (const detail::Fold& fold : detail::divide_pairs(groups, 5, 7, round)) {
      EXPECT_EQ(fold.kept.size() + fold.left_out.size(), 47u);
      std::set<int64_t> out, kept;
      for (const int64_t pair : fold.left_out) ++times[pair], out.insert(groups[pair]);
      for (const int64_t pair : fold.kept) kept.insert(groups[pair]);
      EXPECT_GE(out.size(), 2u);
      EXPECT_LE(out.size(), 3u);
      EXPECT_EQ(out.size() + kept.size(), 13u);
      orders.insert(fold.left_out);
    }
    EXPECT_EQ(times, std::vector<int>(47, 1));
  }
  EXPECT_GT(orders.size(), 10u);  // each round has its own order
}

}  // namespace lib_teacher_search_test
}  // namespace sotalign
