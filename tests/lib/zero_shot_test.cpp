// Zero-shot classification against brute force.
#include "sotalign/eval/zero_shot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_zero_shot_test {

using testing::message_of;
using testing::random_normal;
using Doubles = std::vector<double>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Doubles unit(Doubles x) {
  double square = 0;
  for (const double entry : x) square += entry * entry;
  for (double& entry : x) entry /= std::sqrt(square);
  return x;
}
Doubles unit_row(const std::vector<float>& x, int64_t i, int64_t d) {
  return unit({x.begin() + i * d, x.begin() + (i + 1) * d});
}

std::map<int64_t, Doubles> class_oracle(const std::vector<float>& prompts, const std::vector<int64_t>& ids,
                                        int64_t d) {
  std::map<int64_t, Doubles> classes;
  for (size_t p = 0; p < ids.size(); ++p) {
    const Doubles row = unit_row(prompts, int64_t(p), d);
    Doubles& sum = classes[ids[p]];
    sum.resize(size_t(d));
    for (size_t j = 0; j < row.size(); ++j) sum[j] += row[j];
  }
  for (auto& [id, sum] : classes) sum = unit(sum);
  return classes;
}

/// `slack` shifts the score that wrong classes must reach. `corrections` of the classes, by ascending id, are
/// subtracted if there are any.
std::vector<int64_t> rank_oracle(const std::vector<float>& images, const std::vector<int64_t>& labels,
                                 const std::map<int64_t, Doubles>& classes, int64_t d, double slack = 0,
                                 const std::vector<float>& corrections = {}) {
  std::map<int64_t, double> correction_of;
  for (const auto& [id, row] : classes) {
    const size_t c = correction_of.size();
    correction_of[id] = corrections.empty() ? 0.0 : double(corrections[c]);
  }
  std::vector<int64_t> ranks;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Doubles image = unit_row(images, int64_t(i), d);
    const auto score = [&](int64_t id) {
      const Doubles& row = classes.at(id);
      return std::inner_product(row.begin(), row.end(), image.begin(), 0.0) - correction_of.at(id);
    };
    const double bound = score(labels[i]) - kRetrievalMargin + slack;
    ranks.push_back(1);
    for (const auto& [id, row] : classes)
      if (id != labels[i] && score(id) >= bound) ++ranks.back();
  }
  return ranks;
}

/// Class ids: arbitrary numbers in no order.
int64_t id_of(int64_t c) { return (c * 7919) % 1000003 - 500000; }

struct Problem {
  std::vector<float> images, prompts;
  std::vector<int64_t> labels, prompt_classes;
};

/// Entries of +-1 in 64 columns and one prompt per class: every cosine is exact, and ties are frequent.
constexpr int64_t kSignCols = 64;
Problem sign_problem(int64_t n, int64_t classes) {
  std::mt19937_64 engine{uint64_t(classes)};
  const auto sign = [&] { return engine() % 2 ? 1.0f : -1.0f; };
  Problem p;
  std::vector<int64_t> order(static_cast<size_t>(classes));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), engine);
  for (const int64_t c : order) {
    p.prompt_classes.push_back(id_of(c));
    for (int64_t j = 0; j < kSignCols; ++j) p.prompts.push_back(sign());
  }
  for (int64_t i = 0; i < n; ++i) {
    const size_t own = size_t(i) % order.size();
    p.labels.push_back(p.prompt_classes[own]);
    for (size_t j = 0; j < kSignCols; ++j)
      p.images.push_back(engine() % 3 ? sign() : p.prompts[own * kSignCols + j]);
  }
  return p;
}

/// Images near one of their class's prompts. Class c has 1 + c % 4 prompts; lengths vary.
Problem real_problem(int64_t n, int64_t classes, int64_t d) {
  Problem p;
  for (int64_t c = 0; c < classes; ++c)
    for (int64_t e = 0; e <= c % 4; ++e) p.prompt_classes.push_back(id_of(c));
  std::shuffle(p.prompt_classes.begin(), p.prompt_classes.end(), std::mt19937_64(7));
  const int64_t prompts = int64_t(p.prompt_classes.size());
  p.prompts = random_normal(prompts * d, 1);
  for (int64_t i = 0; i < prompts * d; ++i) p.prompts[size_t(i)] *= std::ldexp(1.0f, int(i / d) % 9 - 4);
  p.images = random_normal(n * d, 2, 3.0f);
  for (int64_t i = 0; i < n; ++i) {
    const size_t own = size_t(i * 5 % prompts);
    p.labels.push_back(p.prompt_classes[own]);
    for (size_t j = 0; j < size_t(d); ++j) p.images[size_t(i * d) + j] += 2 * p.prompts[own * size_t(d) + j];
  }
  return p;
}

class ZeroShotTest : public testing::DeviceTest {
 protected:
  Matrix<float> matrix(const std::vector<float>& values, int64_t d) {
    return Matrix<float>(context, values.data(), int64_t(values.size()) / d, d);
  }
  ClassEmbeddings classes(const Problem& p, int64_t d) {
    return class_embeddings(context, matrix(p.prompts, d), p.prompt_classes);
  }
  std::vector<int64_t> ranks(const Problem& p, int64_t d, const ZeroShotOptions& options = {}) {
    return zero_shot_ranks(context, matrix(p.images, d), p.labels, classes(p, d), options);
  }
};
SOTALIGN_ON_EVERY_DEVICE(ZeroShotTest);

TEST_P(ZeroShotTest, RanksAgreeWithBruteForce) {
  for (const int64_t count : {1, 2, 31, 32, 33, 127}) {
    const Problem p = sign_problem(19, count);
    const auto oracle =
        rank_oracle(p.images, p.labels, class_oracle(p.prompts, p.prompt_classes, kSignCols), kSignCols);
    for (const int64_t tile : {1, 7, 1000}) {
      if (count == 127 && tile == 1) continue;  // slow in emulation
      EXPECT_EQ(ranks(p, kSignCols, {.tile = tile}), oracle) << tile;
    }
  }
}

TEST_P(ZeroShotTest, CorrectionsAreSubtractedByAscendingId) {
  const int64_t count = 33;
  const Problem p = sign_problem(57, count);
  std::vector<float> corrections;
  for (int64_t c = 0; c < count; ++c) corrections.push_back(static_cast<float>(c * 7 % 33) / 64 - 0.25f);
  const auto oracle = [&](const std::vector<float>& own) {
    return rank_oracle(p.images, p.labels, class_oracle(p.prompts, p.prompt_classes, kSignCols), kSignCols, 0,
                       own);
  };
  EXPECT_NE(oracle(corrections), oracle({}));  // otherwise the test would be weak
  for (const int64_t tile : {7, 1000})
    EXPECT_EQ(ranks(p, kSignCols, {.tile = tile, .corrections = corrections}), oracle(corrections)) << tile;
  EXPECT_EQ(ranks(p, kSignCols, {.corrections = std::vector<float>(33, 0.3f)}), oracle({}));
  const ZeroShotResult from_prompts = zero_shot(context, matrix(p.images, kSignCols), p.labels,
                                                matrix(p.prompts, kSignCols), p.prompt_classes,
                                                {.corrections = corrections}),
                       from_classes = zero_shot(context, matrix(p.images, kSignCols), p.labels,
                                                classes(p, kSignCols), {.corrections = corrections});
  const std::vector<int64_t> expected = oracle(corrections);
  EXPECT_DOUBLE_EQ(from_prompts.top1, double(std::count(expected.begin(), expected.end(), 1)) / 57);
  EXPECT_EQ(from_classes.top1, from_prompts.top1);
  EXPECT_EQ(from_classes.mean_class_top1, from_prompts.mean_class_top1);
}

TEST_P(ZeroShotTest, AClassIsTheMeanOfItsUnitPrompts) {
  for (const int64_t d : {1, 2, 31, 33, 127}) {
    const Problem p = real_problem(101, 23, d);
    if (d == 1) continue;  // one-dimensional prompts cancel each other: see Errors
    const ClassEmbeddings found = classes(p, d);
    const std::map<int64_t, Doubles> oracle = class_oracle(p.prompts, p.prompt_classes, d);
    ASSERT_EQ(found.ids.size(), oracle.size());
    const std::vector<float> rows = found.rows.download();
    size_t c = 0;
    for (const auto& [id, row] : oracle) {
      EXPECT_EQ(found.ids[c], id);
      EXPECT_EQ(found.prompts[c], std::count(p.prompt_classes.begin(), p.prompt_classes.end(), id));
      const std::vector<float> own(rows.begin() + int64_t(c) * d, rows.begin() + int64_t(c + 1) * d);
      EXPECT_WITHIN(testing::max_difference(own, row), 1e-6);
      ++c;
    }
    // Float32 cosines are within 5e-7 of the exact values; with the mean of a few prompts, within 2e-6.
    const std::vector<int64_t> low = rank_oracle(p.images, p.labels, oracle, d, 2e-6),
                               high = rank_oracle(p.images, p.labels, oracle, d, -2e-6),
                               rank = ranks(p, d, {.tile = 10});
    for (size_t i = 0; i < rank.size(); ++i) {
      EXPECT_GE(rank[i], low[i]);
      EXPECT_LE(rank[i], high[i]);
    }
  }
}

TEST_P(ZeroShotTest, TiesAndNanCountAgainstTheModel) {
  const int64_t n = 9, count = 7, d = 257;
  const std::vector<float> row = random_normal(d, 4);
  Problem p;
  for (int64_t c = 0; c < count; ++c) {
    p.prompts.insert(p.prompts.end(), row.begin(), row.end());
    p.prompt_classes.push_back(c);
  }
  p.images = random_normal(n * d, 5);
  for (int64_t i = 0; i < n; ++i) p.labels.push_back(i % count);
  for (const int64_t tile : {1, 3, 100})
    EXPECT_EQ(ranks(p, d, {.tile = tile}), std::vector<int64_t>(size_t(n), count));
  p.prompts = random_normal(count * d, 6);
  for (int64_t i = 0; i < n; ++i) std::copy_n(p.prompts.begin() + i % count * d, d, p.images.begin() + i * d);
  p.images[3 * d + 2] = kNan;
  std::vector<int64_t> expected(size_t(n), 1);
  expected[3] = count;
  EXPECT_EQ(ranks(p, d), expected);
  std::fill_n(p.images.begin() + 5 * d, d, 0.0f);  // zero row: the same score everywhere
  expected[5] = count;
  EXPECT_EQ(ranks(p, d), expected);
}

TEST_P(ZeroShotTest, AccuraciesAreThoseOfTheRanks) {
  const Problem p = sign_problem(100, 33);
  const std::vector<int64_t> rank = ranks(p, kSignCols);
  Problem more = p;  // a class without images
  more.prompt_classes.push_back(-999999);
  for (int64_t j = 0; j < kSignCols; ++j) more.prompts.push_back(-p.prompts[size_t(j)]);
  const std::vector<int64_t> more_rank = ranks(more, kSignCols);
  const ZeroShotResult result = zero_shot(context, matrix(more.images, kSignCols), more.labels,
                                          matrix(more.prompts, kSignCols), more.prompt_classes);
  const auto fraction = [&](int64_t k) {
    return double(std::count_if(more_rank.begin(), more_rank.end(), [&](int64_t r) { return r <= k; })) / 100;
  };
  EXPECT_DOUBLE_EQ(result.top1, fraction(1));
  EXPECT_DOUBLE_EQ(result.top5, fraction(5));
  EXPECT_LT(result.top1, result.top5);  // otherwise the test would be weak
  EXPECT_EQ(result.images, 100);
  ASSERT_EQ(result.classes.size(), 34u);
  double mean = 0;
  for (size_t c = 0; c < result.classes.size(); ++c) {
    const ClassAccuracy& own = result.classes[c];
    EXPECT_TRUE(c == 0 || result.classes[c - 1].id < own.id);
    ClassAccuracy expected{.id = own.id};
    for (size_t i = 0; i < more.labels.size(); ++i) {
      if (more.labels[i] != own.id) continue;
      ++expected.images;
      expected.top1 += more_rank[i] <= 1;
      expected.top5 += more_rank[i] <= 5;
    }
    EXPECT_EQ(own.images, expected.images);
    EXPECT_EQ(own.top1, expected.top1);
    EXPECT_EQ(own.top5, expected.top5);
    if (own.images > 0) mean += double(own.top1) / double(own.images) / 33;
  }
  EXPECT_EQ(result.classes[0].images, 0);
  EXPECT_NEAR(result.mean_class_top1, mean, 1e-12);
  EXPECT_EQ(rank.size(), more_rank.size());
}

TEST_P(ZeroShotTest, ErrorsNameTheImageTheClassOrThePrompt) {
  const auto message = [&](int64_t images, const std::vector<int64_t>& labels,
                           const std::vector<float>& prompts, const std::vector<int64_t>& ids,
                           const ZeroShotOptions& options = {}) {
    return message_of<InvalidArgument>([&] {
      zero_shot(context, matrix(std::vector<float>(size_t(images) * 2, 1.0f), 2), labels, matrix(prompts, 2),
                ids, options);
    });
  };
  const std::vector<float> two = {1, 0, 0, 1};
  EXPECT_EQ(message(3, {4, 5, 7}, two, {5, 4}),
            "zero_shot: image 2 (label 7) has no prompt of its class among the 2 classes from 4 to 5");
  EXPECT_EQ(message(3, {4, -1, 7}, two, {5, 4}),
            "zero_shot: image 1 (label -1) has no prompt of its class among the 2 classes from 4 to 5");
  EXPECT_EQ(message(2, {4}, two, {5, 4}),
            "zero_shot: labels, expected one id for each of the 2 images, found 1");
  EXPECT_EQ(message(1, {4}, two, {4}),
            "zero_shot: prompt_classes, expected one id for each of the 2 prompts, found 1");
  EXPECT_EQ(message(1, {4}, {1, 2, -2, -4}, {4, 4}),
            "zero_shot: class 4, expected prompts with a mean direction, found 2 that cancel each other");
  EXPECT_EQ(message(1, {4}, {1, 2, 0, 0}, {4, 5}),
            "zero_shot: prompt 1, expected a row with a direction, found one of length 0");
  EXPECT_EQ(message(1, {4}, {1, 2, kNan, 0}, {4, 5}).rfind("zero_shot: prompt 1, ", 0), 0u);
  EXPECT_EQ(message(0, {}, two, {4, 5}), "zero_shot: expected images, found [0, 2]");
  EXPECT_EQ(message(1, {4}, {}, {}), "zero_shot: expected prompts, found [0, 2]");
  EXPECT_EQ(message(1, {4}, two, {4, 5}, {.tile = 0}), "zero_shot: tile, expected at least 1, found 0");
  EXPECT_EQ(message(1, {4}, two, {4, 5}, {.corrections = {1}}),
            "zero_shot: corrections, expected one for each of the 2 classes, found 1");
  EXPECT_EQ(message(1, {4}, two, {4, 5}, {.corrections = {kNan, 1}}),
            "zero_shot: corrections, expected finite numbers, found nan at 0");
  EXPECT_EQ(message_of<InvalidArgument>([&] {
              zero_shot(context, matrix({1, 2, 3}, 3), {4}, matrix(two, 2), {4, 5});
            }),
            "zero_shot: images and prompts need equally many columns, found 3 and 2");
}

}  // namespace lib_zero_shot_test
}  // namespace sotalign
