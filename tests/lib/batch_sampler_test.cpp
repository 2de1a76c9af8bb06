// The permutation behind the sampler, the sampler, and gathering its rows.
#include "sotalign/sampling/batch_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/gather_rows.h"
#include "kernels/random_permutation.h"
#include "kernels/sample_indices.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/random.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_batch_sampler_test {

using kernels::random_permutation;
using testing::error_message;

std::vector<int64_t> permutation(uint64_t key, int64_t epoch, int64_t n) {
  std::vector<int64_t> elements;
  for (int64_t i = 0; i < n; ++i) elements.push_back(random_permutation(key, epoch, n, i));
  return elements;
}

std::vector<int64_t> range(int64_t n) {
  std::vector<int64_t> elements(static_cast<size_t>(n));
  std::iota(elements.begin(), elements.end(), 0);
  return elements;
}

std::vector<int64_t> sorted(std::vector<int64_t> elements) {
  std::sort(elements.begin(), elements.end());
  return elements;
}

/// Chi-square of counts against equal expected counts, in standard deviations from its mean.
double deviation(const std::vector<double>& counts, double expected, double degrees_of_freedom) {
  double chi_square = 0;
  for (const double n : counts) chi_square += (n - expected) * (n - expected) / expected;
  return std::abs(chi_square - degrees_of_freedom) / std::sqrt(2 * degrees_of_freedom);
}

TEST(RandomPermutation, IsABijection) {
  for (int64_t n = 1; n <= 300; ++n) ASSERT_EQ(sorted(permutation(1, n, n)), range(n)) << n;
  EXPECT_EQ(sorted(permutation(2, 3, 10'007)), range(10'007));
}

TEST(RandomPermutation, HandlesPopulationsBeyond32Bits) {
  const int64_t n = (int64_t{1} << 40) + 12345;
  std::vector<int64_t> elements;
  for (int64_t i = 0; i < 1000; ++i) elements.push_back(random_permutation(5, 0, n, n - 1 - i));
  elements = sorted(elements);
  EXPECT_EQ(std::unique(elements.begin(), elements.end()), elements.end());
  EXPECT_GE(elements.front(), 0);
  EXPECT_LT(elements.back(), n);
  EXPECT_GT(elements.back(), n / 100 * 98);
}

TEST(RandomPermutation, EveryElementIsEverywhereEquallyOften) {
  // Over epochs: element against position, and the difference between neighbours. Small n are hard for a
  // Feistel network; 5 and 17 need the most cycle walking.
  for (const int64_t n : {2, 3, 4, 5, 7, 16, 17, 64, 100}) {
    const int64_t epochs = 4000 * n / std::min<int64_t>(n, 20);
    std::vector<double> places(static_cast<size_t>(n * n)), steps(static_cast<size_t>(n));
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const std::vector<int64_t> p = permutation(99, epoch, n);
      for (int64_t i = 0; i < n; ++i) ++places[static_cast<size_t>(i * n + p[i])];
      ++steps[static_cast<size_t>((p[1] - p[0] + n) % n)];
    }
    EXPECT_WITHIN(deviation(places, static_cast<double>(epochs) / n, (n - 1.0) * (n - 1.0)), 5.0) << n;
    EXPECT_EQ(steps[0], 0);
    steps.erase(steps.begin());
    if (n > 2) {
      EXPECT_WITHIN(deviation(steps, epochs / (n - 1.0), n - 2.0), 5.0) << n;
    }
  }
}

TEST(RandomPermutation, AllOrdersOfFewElementsOccurEquallyOften) {
  for (const int64_t n : {3, 4, 6}) {
    const int64_t orders = n == 3 ? 6 : n == 4 ? 24 : 720, epochs = 100 * orders;
    // By parity: the header explains why the two classes may differ (for n = 6, by a quarter).
    std::vector<double> counts[2];
    counts[0].resize(static_cast<size_t>(orders));
    counts[1] = counts[0];
    double total[2] = {0, 0};
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const std::vector<int64_t> p = permutation(4, epoch, n);
      int64_t rank = 0, inversions = 0;  // rank in lexicographic order
      for (int64_t i = 0; i < n; ++i) {
        int64_t smaller = 0;
        for (int64_t j = i + 1; j < n; ++j) smaller += p[j] < p[i];
        rank = rank * (n - i) + smaller;
        inversions += smaller;
      }
      ++counts[inversions % 2][static_cast<size_t>(rank)];
      ++total[inversions % 2];
    }
    for (const int parity : {0, 1}) {
      std::erase(counts[parity], 0.0);  // orders of the other parity
      ASSERT_EQ(static_cast<int64_t>(counts[parity].size()), orders / 2);
      EXPECT_WITHIN(deviation(counts[parity], total[parity] / (orders / 2.0), orders / 2.0 - 1), 5.0) << n;
    }
  }
}

TEST(RandomPermutation, EpochsAndKeysAreIndependentOrders) {
  // Two independent permutations agree in one position on average.
  const int64_t n = 1000;
  double agreements = 0;
  for (int64_t epoch = 0; epoch < 200; ++epoch) {
    const std::vector<int64_t> p = permutation(1, epoch, n);
    const std::vector<int64_t> next = permutation(1, epoch + 1, n), other = permutation(2, epoch, n);
    for (int64_t i = 0; i < n; ++i) agreements += (p[i] == next[i]) + (p[i] == other[i]);
  }
  EXPECT_WITHIN(std::abs(agreements / 400 - 1), 5 / std::sqrt(400.0));
}

class SamplerTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(SamplerTest);

TEST_P(SamplerTest, EpochsHoldEveryRowOnce) {
  for (const auto& [population, batch] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {31, 2}, {33, 32}, {127, 31}, {1000, 1000}, {10'007, 4096}}) {
    const BatchSampler sampler(population, batch, 3, stream_id("images"));
    std::vector<int64_t> sequence, indices;
    for (int64_t step = 0; static_cast<int64_t>(sequence.size()) < 3 * population; ++step) {
      sampler.sample(step, indices);
      sequence.insert(sequence.end(), indices.begin(), indices.end());
    }
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      const auto first = sequence.begin() + epoch * population;
      ASSERT_EQ(sorted({first, first + population}), range(population)) << population << " " << batch;
    }
  }
}

TEST_P(SamplerTest, EveryWayToAskGivesTheSameRows) {
  const BatchSampler sampler(1000, 333, 5, stream_id("texts"));
  Buffer<int64_t> on_device(context, sampler.batch());
  std::vector<int64_t> indices;
  for (const int64_t step : {0, 1, 2, 17, 1'000'000'000}) {
    sampler.sample(step, indices);
    sampler.sample(context, step, on_device.data());
    EXPECT_EQ(on_device.download(), indices);
    for (int64_t i = 0; i < sampler.batch(); ++i) ASSERT_EQ(sampler.index(step, i), indices[i]);
  }
  Context single(GetParam(), 1);
  Buffer<int64_t> by_one_thread(single, sampler.batch());
  sampler.sample(single, 1'000'000'000, by_one_thread.data());
  EXPECT_EQ(by_one_thread.download(), indices);
}

TEST_P(SamplerTest, FullBatchIsInOrder) {
  for (const int64_t batch : {100, 5000}) {
    const BatchSampler sampler(100, batch, 1, 2);
    EXPECT_EQ(sampler.batch(), 100);
    std::vector<int64_t> indices;
    sampler.sample(9, indices);
    EXPECT_EQ(indices, range(100));
  }
}

TEST_P(SamplerTest, StreamsAndSeedsDrawIndependently) {
  const int64_t n = 1000;
  const BatchSampler images(n, 10, 1, stream_id("images")), texts(n, 10, 1, stream_id("texts")),
      other_seed(n, 10, 2, stream_id("images"));
  int64_t texts_agree = 0, seeds_agree = 0;
  for (int64_t step = 0; step < n; ++step)
    for (int64_t i = 0; i < 10; ++i) {
      texts_agree += images.index(step, i) == texts.index(step, i);
      seeds_agree += images.index(step, i) == other_seed.index(step, i);
    }
  // One agreement is expected in each of the ten epochs.
  EXPECT_WITHIN(std::abs(static_cast<double>(texts_agree) - 10), 5 * std::sqrt(10.0));
  EXPECT_WITHIN(std::abs(static_cast<double>(seeds_agree) - 10), 5 * std::sqrt(10.0));
}

TEST_P(SamplerTest, BadArgumentsAreNamed) {
  EXPECT_EQ(error_message([] { BatchSampler(0, 1, 0, 0); }), "population: expected at least 1 row, found 0");
  EXPECT_EQ(error_message([] { BatchSampler(5, 0, 0, 0); }), "batch: expected at least 1 row, found 0");
  const BatchSampler sampler(10, 3, 0, 0);
  EXPECT_EQ(error_message([&] { sampler.index(-1, 0); }), "step: expected at least 0, found -1");
  EXPECT_EQ(error_message([&] { sampler.index(0, 3); }),
            "i: expected an entry of a batch of 3 rows, found 3");
}

TEST_P(SamplerTest, IndicesOfEveryCountAndPopulation) {
  for (const int64_t count : {1, 2, 31, 255, 256, 257, 1000})
    for (const int64_t population : {count, count + 1, int64_t{100'003}, (int64_t{1} << 40) + 12345}) {
      // One entry beyond those requested.
      Buffer<int64_t> indices(context, std::vector<int64_t>(size_t(count) + 1, -5));
      kernels::SampleIndices args{
          .count = count, .population = population, .step = 1'000'003, .key = 0x9876543210FEDCBA};
      std::vector<int64_t> expected;
      for (int64_t i = 0; i < count; ++i) expected.push_back(kernels::sample_index(args, i));
      expected.push_back(-5);
      args.indices = indices.data();
      kernels::sample_indices(context.queue(), args);
      EXPECT_EQ(indices.download(), expected) << count << " of " << population;
    }
}

/// The layout of the matrices determines how many entries move at once.
struct Layout {
  int64_t x_padding, y_padding;  // after each row; -1: up to a multiple of four
  int64_t x_offset, y_offset;    // offset of the first entry
};

TEST_P(SamplerTest, GatherPicksRows) {
  const int64_t population = 33;
  const std::vector<int64_t> index = {32, 0, 5, 5, 31, 1, 0, 17, 30};
  const int64_t rows = static_cast<int64_t>(index.size());
  const auto stride_of = [](int64_t cols, int64_t padding) {
    return padding < 0 ? (cols + 3) / 4 * 4 : cols + padding;
  };
  for (const int64_t cols : {1, 2, 3, 4, 5, 31, 32, 33, 127, 128, 257, 1024, 1031, 4100})
    for (const Layout& layout : {Layout{-1, -1, 0, 0},
                                 {-1, -1, 4, 8},
                                 {-1, -1, 1, 0},
                                 {-1, -1, 0, 3},
                                 {3, -1, 0, 0},
                                 {-1, 1, 0, 0},
                                 {0, 0, 0, 0}}) {
      SCOPED_TRACE(std::to_string(cols) + " columns, x " + std::to_string(layout.x_padding) + " " +
                   std::to_string(layout.x_offset) + ", y " + std::to_string(layout.y_padding) + " " +
                   std::to_string(layout.y_offset));
      const int64_t x_stride = stride_of(cols, layout.x_padding),
                    y_stride = stride_of(cols, layout.y_padding);
      const std::vector<float> x = testing::random_normal(layout.x_offset + population * x_stride, 1);
      std::vector<float> expected(static_cast<size_t>(layout.y_offset + rows * y_stride), 7.0f);
      const std::vector<float> before = expected;
      for (int64_t i = 0; i < rows; ++i)
        std::copy_n(x.begin() + layout.x_offset + index[i] * x_stride, cols,
                    expected.begin() + layout.y_offset + i * y_stride);
      const Buffer<float> dx(context, x);
      const Buffer<int64_t> d_index(context, index);
      Buffer<float> dy(context, before);
      kernels::gather_rows(context.queue(), {.x = dx.data() + layout.x_offset,
                                             .x_stride = x_stride,
                                             .index = d_index.data(),
                                             .y = dy.data() + layout.y_offset,
                                             .y_stride = y_stride,
                                             .rows = rows,
                                             .cols = cols});
      EXPECT_EQ(dy.download(), expected);
    }
}

}  // namespace lib_batch_sampler_test
}  // namespace sotalign
