#include "sotalign/eval/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/plain_nan.h"
#include "eval/id_groups.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign {

namespace {

/// Sums over the queries of one direction.
struct RankSums {
  double queries = 0, within1 = 0, within5 = 0, within10 = 0, reciprocals = 0;

  void add_rank(int64_t rank) {
    if (rank < 1) throw InvalidArgument(fmt::format("bootstrap: ranks, expected at least 1, found {}", rank));
    queries += 1;
    within1 += rank <= 1, within5 += rank <= 5, within10 += rank <= 10;
    reciprocals += 1 / static_cast<double>(rank);
  }
  void add(const RankSums& other) {
    queries += other.queries;
    within1 += other.within1, within5 += other.within5, within10 += other.within10;
    reciprocals += other.reciprocals;
  }
};

/// Sums over the queries of an item, or of several.
struct ItemSums {
  RankSums image_to_text, text_to_image;
};

std::vector<ItemSums> item_sums(const RetrievalRanks& ranks, const RetrievalOptions& measured) {
  const auto &images = ranks.image_to_text, &texts = ranks.text_to_image;
  if (images.empty() || texts.empty())
    throw InvalidArgument(fmt::format("bootstrap: ranks, expected some in each direction, found {} and {}",
                                      images.size(), texts.size()));
  const IdGroups groups =
      number_ids(static_cast<int64_t>(images.size()), static_cast<int64_t>(texts.size()), measured);
  std::vector<ItemSums> items(static_cast<size_t>(groups.count));
  for (size_t i = 0; i < images.size(); ++i)
    items[static_cast<size_t>(groups.images[i])].image_to_text.add_rank(images[i]);
  for (size_t i = 0; i < texts.size(); ++i)
    items[static_cast<size_t>(groups.texts[i])].text_to_image.add_rank(texts[i]);
  return items;
}

/// r1, r5, r10 and mean reciprocal rank from images to texts, the same from texts to images, and the means of
/// the first and of the last over both directions.
constexpr size_t kFigures = 10;
using Figures = std::array<double, kFigures>;

Figures figures(const ItemSums& sums) {
  const RankSums &image = sums.image_to_text, &text = sums.text_to_image;
  Figures f = {image.within1 / image.queries,  image.within5 / image.queries,
               image.within10 / image.queries, image.reciprocals / image.queries,
               text.within1 / text.queries,    text.within5 / text.queries,
               text.within10 / text.queries,   text.reciprocals / text.queries};
  f[8] = 0.5 * (f[0] + f[4]);
  f[9] = 0.5 * (f[3] + f[7]);
  return f;
}

/// The figures of each resample; the draws depend on the seed and on the number of items only.
std::vector<Figures> resampled(const std::vector<ItemSums>& items, const BootstrapOptions& options) {
  const RandomStream random(options.seed, stream_id("bootstrap"));
  const auto n = static_cast<double>(items.size());
  std::vector<Figures> result;
  result.reserve(static_cast<size_t>(options.resamples));
  uint64_t draw = 0;
  for (int64_t r = 0; r < options.resamples; ++r) {
    ItemSums sums;
    for (size_t j = 0; j < items.size(); ++j) {
      const double u = static_cast<double>(random.bits64(draw++) >> 11) * 0x1p-53;
      const ItemSums& item = items[static_cast<size_t>(n * u)];
      sums.image_to_text.add(item.image_to_text);
      sums.text_to_image.add(item.text_to_image);
    }
    result.push_back(figures(sums));
  }
  return result;
}

/// k of Interval.
int64_t check(const BootstrapOptions& options) {
  if (!(options.level > 0 && options.level < 1))
    throw InvalidArgument(
        fmt::format("bootstrap: level, expected above 0 and below 1, found {}", plain_nan(options.level)));
  const double tail = (1 - options.level) / 2;
  // 1 - level is rounded: 0.05 / 2 * 40 may come out below 1.
  const double k = std::floor((static_cast<double>(options.resamples) + 1) * tail * (1 + 1e-12));
  if (!(k >= 1))
    throw InvalidArgument(fmt::format("bootstrap: resamples, expected at least {} for level {}, found {}",
                                      std::ceil(1 / tail * (1 - 1e-12)) - 1, options.level,
                                      options.resamples));
  return static_cast<int64_t>(k);
}

RetrievalIntervals intervals_of(const std::vector<Figures>& resamples, int64_t k, size_t items) {
  const auto interval = [&](size_t figure) -> Interval {
    std::vector<double> values;
    values.reserve(resamples.size());
    for (const Figures& f : resamples) values.push_back(f[figure]);
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<size_t>(k);
    return {values[rank - 1], values[values.size() - rank]};
  };
  const auto direction = [&](size_t first) -> RecallIntervals {
    return {interval(first), interval(first + 1), interval(first + 2), interval(first + 3)};
  };
  return {.image_to_text = direction(0),
          .text_to_image = direction(4),
          .mean_r1 = interval(8),
          .mean_reciprocal_rank = interval(9),
          .items = static_cast<int64_t>(items)};
}

}  // namespace

RetrievalIntervals bootstrap_intervals(const RetrievalRanks& ranks, const RetrievalOptions& measured,
                                       const BootstrapOptions& options) {
  const int64_t k = check(options);
  const std::vector<ItemSums> items = item_sums(ranks, measured);
  return intervals_of(resampled(items, options), k, items.size());
}

RetrievalIntervals bootstrap_differences(const RetrievalRanks& ranks, const RetrievalRanks& other,
                                         const RetrievalOptions& measured, const BootstrapOptions& options) {
  const int64_t k = check(options);
  const std::vector<ItemSums> items = item_sums(ranks, measured), less = item_sums(other, measured);
  if (ranks.image_to_text.size() != other.image_to_text.size() ||
      ranks.text_to_image.size() != other.text_to_image.size())
    throw InvalidArgument(fmt::format(
        "bootstrap: other, expected the same queries, {} and {}, found {} and {}", ranks.image_to_text.size(),
        ranks.text_to_image.size(), other.image_to_text.size(), other.text_to_image.size()));
  std::vector<Figures> differences = resampled(items, options);
  const std::vector<Figures> theirs = resampled(less, options);
  for (size_t r = 0; r < differences.size(); ++r)
    for (size_t f = 0; f < kFigures; ++f) differences[r][f] -= theirs[r][f];
  return intervals_of(differences, k, items.size());
}

}  // namespace sotalign
