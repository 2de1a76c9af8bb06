// Bootstrap intervals of retrieval against resamples that are written out query by query.
#include "sotalign/eval/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "support/error_message.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_bootstrap_test {

using testing::error_message;

/// Ranks that are 1 for about a third of the queries.
std::vector<int64_t> random_ranks(int64_t queries, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<int64_t> ranks;
  for (int64_t i = 0; i < queries; ++i)
    ranks.push_back(engine() % 3 == 0 ? 1 : static_cast<int64_t>(1 + engine() % 20));
  return ranks;
}

struct Case {
  RetrievalRanks ranks, other;
  RetrievalOptions measured;
};

Case pairs(int64_t n, uint64_t seed = 1) {
  return {{random_ranks(n, seed), random_ranks(n, seed + 1)},
          {random_ranks(n, seed + 2), random_ranks(n, seed + 3)},
          {}};
}

/// Ids with one to three images and one to five texts each, in mixed order.
Case groups(int64_t ids, uint64_t seed = 1) {
  std::mt19937_64 engine(seed);
  Case result;
  for (int64_t id = 0; id < ids; ++id) {
    result.measured.image_ids.insert(result.measured.image_ids.end(), 1 + engine() % 3, 100 - 7 * id);
    result.measured.text_ids.insert(result.measured.text_ids.end(), 1 + engine() % 5, 100 - 7 * id);
  }
  std::shuffle(result.measured.image_ids.begin(), result.measured.image_ids.end(), engine);
  std::shuffle(result.measured.text_ids.begin(), result.measured.text_ids.end(), engine);
  const auto images = static_cast<int64_t>(result.measured.image_ids.size()),
             texts = static_cast<int64_t>(result.measured.text_ids.size());
  result.ranks = {random_ranks(images, seed + 1), random_ranks(texts, seed + 2)};
  result.other = {random_ranks(images, seed + 3), random_ranks(texts, seed + 4)};
  return result;
}

/// The figures of RetrievalIntervals in the order of its members.
std::vector<double> figures(const std::vector<int64_t>& images, const std::vector<int64_t>& texts) {
  const RecallAtK i = summarize_ranks(images), t = summarize_ranks(texts);
  return {i.r1,
          i.r5,
          i.r10,
          i.mean_reciprocal_rank,
          t.r1,
          t.r5,
          t.r10,
          t.mean_reciprocal_rank,
          (i.r1 + t.r1) / 2,
          (i.mean_reciprocal_rank + t.mean_reciprocal_rank) / 2};
}

std::vector<Interval> listed(const RetrievalIntervals& all) {
  const RecallIntervals &i = all.image_to_text, &t = all.text_to_image;
  return {i.r1,        i.r5,
          i.r10,       i.mean_reciprocal_rank,
          t.r1,        t.r5,
          t.r10,       t.mean_reciprocal_rank,
          all.mean_r1, all.mean_reciprocal_rank};
}

/// Each resample as a list of query ranks; `less` is empty, or the ranks whose figures are subtracted.
std::vector<Interval> oracle(const Case& c, const BootstrapOptions& options, bool difference) {
  // The queries of each item, by the order in which images first name it.
  std::vector<std::vector<size_t>> images, texts;
  if (c.measured.image_ids.empty()) {
    for (size_t i = 0; i < c.ranks.image_to_text.size(); ++i) images.push_back({i}), texts.push_back({i});
  } else {
    std::map<int64_t, size_t> numbers;
    for (size_t i = 0; i < c.measured.image_ids.size(); ++i) {
      const size_t number = numbers.emplace(c.measured.image_ids[i], numbers.size()).first->second;
      images.resize(numbers.size());
      images[number].push_back(i);
    }
    texts.resize(numbers.size());
    for (size_t j = 0; j < c.measured.text_ids.size(); ++j)
      texts[numbers.at(c.measured.text_ids[j])].push_back(j);
  }
  const size_t n = images.size();
  const RandomStream random(options.seed, stream_id("bootstrap"));
  std::vector<std::vector<double>> samples(10);
  for (int64_t r = 0; r < options.resamples; ++r) {
    std::vector<int64_t> image_ranks, text_ranks, other_images, other_texts;
    for (size_t j = 0; j < n; ++j) {
      const uint64_t bits = random.bits64(static_cast<uint64_t>(r) * n + j);
      const auto item = static_cast<size_t>(static_cast<double>(n) *
                                            (static_cast<double>(bits / 2048) / 9007199254740992.0));
      for (const size_t i : images[item])
        image_ranks.push_back(c.ranks.image_to_text[i]), other_images.push_back(c.other.image_to_text[i]);
      for (const size_t i : texts[item])
        text_ranks.push_back(c.ranks.text_to_image[i]), other_texts.push_back(c.other.text_to_image[i]);
    }
    std::vector<double> values = figures(image_ranks, text_ranks);
    if (difference) {
      const std::vector<double> less = figures(other_images, other_texts);
      for (size_t f = 0; f < values.size(); ++f) values[f] -= less[f];
    }
    for (size_t f = 0; f < values.size(); ++f) samples[f].push_back(values[f]);
  }
  const auto k =
      static_cast<size_t>(static_cast<double>(options.resamples + 1) * (1 - options.level) / 2 + 1e-9);
  std::vector<Interval> result;
  for (std::vector<double>& values : samples) {
    std::sort(values.begin(), values.end());
    result.push_back({values[k - 1], values[values.size() - k]});
  }
  return result;
}

void expect_close(const std::vector<Interval>& ours, const std::vector<Interval>& theirs) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t f = 0; f < ours.size(); ++f) {
    EXPECT_TRUE(std::abs(ours[f].low - theirs[f].low) <= 1e-12)
        << f << ": " << ours[f].low << ", " << theirs[f].low;
    EXPECT_TRUE(std::abs(ours[f].high - theirs[f].high) <= 1e-12)
        << f << ": " << ours[f].high << ", " << theirs[f].high;
  }
}

TEST(Bootstrap, IsThatOfResamplesWrittenOut) {
  for (const BootstrapOptions& options : {BootstrapOptions{}, BootstrapOptions{.resamples = 39},
                                          BootstrapOptions{.resamples = 333, .level = 0.8, .seed = 7}})
    for (const int64_t n : {1, 2, 31, 127})
      for (const Case& c : {pairs(n), groups(n)}) {
        expect_close(listed(bootstrap_intervals(c.ranks, c.measured, options)), oracle(c, options, false));
        expect_close(listed(bootstrap_differences(c.ranks, c.other, c.measured, options)),
                     oracle(c, options, true));
      }
}

TEST(Bootstrap, IntervalsContainTheFigure) {
  for (const Case& c : {pairs(300), groups(100)}) {
    const std::vector<double> ours = figures(c.ranks.image_to_text, c.ranks.text_to_image),
                              other = figures(c.other.image_to_text, c.other.text_to_image);
    const std::vector<Interval> intervals = listed(bootstrap_intervals(c.ranks, c.measured)),
                                differences = listed(bootstrap_differences(c.ranks, c.other, c.measured));
    for (size_t f = 0; f < ours.size(); ++f) {
      EXPECT_LT(intervals[f].low, ours[f]) << f;
      EXPECT_GT(intervals[f].high, ours[f]) << f;
      EXPECT_LT(differences[f].low, ours[f] - other[f]) << f;
      EXPECT_GT(differences[f].high, ours[f] - other[f]) << f;
    }
  }
}

// The standard deviation of a share p of n independent queries is sqrt(p (1 - p) / n).
TEST(Bootstrap, WidthOfARecallIsThatOfTheBinomialDistribution) {
  const Case c = pairs(4000);
  const double p = summarize_ranks(c.ranks.image_to_text).r1;
  const Interval r1 = bootstrap_intervals(c.ranks, {}).image_to_text.r1;
  EXPECT_NEAR((r1.high - r1.low) / (2 * 1.96 * std::sqrt(p * (1 - p) / 4000)), 1, 0.1);
}

// Five equal captions of an image say no more than one.
TEST(Bootstrap, CaptionsOfAnImageAreOneItem) {
  constexpr int64_t kImages = 50, kCaptions = 5;
  const Case c = pairs(kImages);
  RetrievalRanks repeated = c.ranks;
  repeated.text_to_image.clear();
  RetrievalOptions measured;
  for (int64_t i = 0; i < kImages; ++i) {
    measured.image_ids.push_back(i);
    for (int64_t j = 0; j < kCaptions; ++j) {
      measured.text_ids.push_back(i);
      repeated.text_to_image.push_back(c.ranks.text_to_image[static_cast<size_t>(i)]);
    }
  }
  const RetrievalIntervals intervals = bootstrap_intervals(repeated, measured);
  EXPECT_EQ(intervals.items, kImages);
  expect_close(listed(intervals), listed(bootstrap_intervals(c.ranks, {})));
}

TEST(Bootstrap, HasNoWidthIfAllRanksAreOne) {
  const std::vector<int64_t> ones(101, 1);
  for (const Interval& interval : listed(bootstrap_intervals({ones, ones}, {}))) {
    EXPECT_EQ(interval.low, 1);
    EXPECT_EQ(interval.high, 1);
  }
}

TEST(Bootstrap, DifferenceOfAModelWithItselfIsExactlyZero) {
  for (const Case& c : {pairs(101), groups(40)})
    for (const Interval& interval : listed(bootstrap_differences(c.ranks, c.ranks, c.measured))) {
      EXPECT_EQ(interval.low, 0);
      EXPECT_EQ(interval.high, 0);
    }
}

// Every query of one model has a better rank by the same step: unpaired draws would hide it.
TEST(Bootstrap, DifferencesArePaired) {
  RetrievalRanks ranks = pairs(60).ranks, other = ranks;
  for (std::vector<int64_t>* of : {&other.image_to_text, &other.text_to_image})
    for (size_t i = 0; i < of->size(); i += 6) ++(*of)[i];
  const RetrievalIntervals difference = bootstrap_differences(ranks, other, {}),
                           own = bootstrap_intervals(ranks, {});
  EXPECT_GT(difference.mean_reciprocal_rank.low, 0);
  EXPECT_LT(difference.mean_reciprocal_rank.high - difference.mean_reciprocal_rank.low,
            0.5 * (own.mean_reciprocal_rank.high - own.mean_reciprocal_rank.low));
}

TEST(Bootstrap, ASeedSelectsTheDraws) {
  const Case c = pairs(200);
  const auto intervals = [&](uint64_t seed) {
    return listed(bootstrap_intervals(c.ranks, {}, {.seed = seed}));
  };
  const std::vector<Interval> first = intervals(3), again = intervals(3), other = intervals(4);
  bool differs = false;
  for (size_t f = 0; f < first.size(); ++f) {
    EXPECT_EQ(first[f].low, again[f].low);
    EXPECT_EQ(first[f].high, again[f].high);
    differs = differs || first[f].low != other[f].low;
  }
  EXPECT_TRUE(differs);
}

TEST(Bootstrap, Refuses) {
  const Case c = pairs(3);
  const auto message = [&](const RetrievalRanks& ranks, const BootstrapOptions& options,
                           const RetrievalOptions& measured = {}) {
    return error_message([&] { bootstrap_intervals(ranks, measured, options); });
  };
  EXPECT_EQ(message(c.ranks, {.resamples = 38}),
            "bootstrap: resamples, expected at least 39 for level 0.95, found 38");
  EXPECT_EQ(message(c.ranks, {.resamples = -1}),
            "bootstrap: resamples, expected at least 39 for level 0.95, found -1");
  for (const double level : {0.0, 1.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_CONTAINS(message(c.ranks, {.level = level}), "bootstrap: level, expected above 0 and below 1");
  EXPECT_CONTAINS(message({{1, 2}, {}}, {}), "expected some in each direction, found 2 and 0");
  EXPECT_CONTAINS(message({{1, 0}, {1, 1}}, {}), "expected at least 1, found 0");
  EXPECT_CONTAINS(message({{1, 2}, {1}}, {}), "2 images and 1 texts");
  EXPECT_CONTAINS(message(c.ranks, {}, {.image_ids = {1, 2, 3}, .text_ids = {1, 2, 4}}), "id 4");
  EXPECT_CONTAINS(error_message([&] { bootstrap_differences(c.ranks, pairs(4).ranks, {}, {}); }),
                  "expected the same queries, 3 and 3, found 4 and 4");
}

}  // namespace lib_bootstrap_test
}  // namespace sotalign
