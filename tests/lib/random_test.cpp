// Philox against published test vectors, and the properties of the streams.
#include "sotalign/core/random.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "support/compare.h"

namespace sotalign {
namespace lib_random_test {

TEST(Random, PhiloxGivesThePublishedAnswers) {
  // Test vectors of the Random123 distribution.
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  static_assert(philox4x32({{0, 0, 0, 0}}, {{0, 0}}) ==
                PhiloxCounter{{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}});
  static_assert(philox4x32({{kOnes, kOnes, kOnes, kOnes}}, {{kOnes, kOnes}}) ==
                PhiloxCounter{{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}});
  static_assert(philox4x32({{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}}, {{0xA4093822, 0x299F31D0}}) ==
                PhiloxCounter{{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}});
}

TEST(Random, ValuesAreTheWordsOfTheBlocks) {
  const RandomStream random(0, 0);
  EXPECT_EQ(random.bits32(0), 0x6627E8D5u);
  EXPECT_EQ(random.bits32(3), 0x9B00DBD8u);
  EXPECT_EQ(random.bits64(0), 0xE169C58D6627E8D5u);
  EXPECT_EQ(random.bits64(1), 0x9B00DBD8BC57AC4Cu);
  // Both halves of seed, stream and index reach the counter or the key.
  std::set<uint32_t> values;
  for (const uint64_t bit : {uint64_t{1}, uint64_t{1} << 40}) {
    values.insert(RandomStream(bit, 0).bits32(0));
    values.insert(RandomStream(0, bit).bits32(0));
    values.insert(RandomStream(0, 0).bits32(4 * bit));
  }
  EXPECT_EQ(values.size(), 6u);
}

TEST(Random, UniformFillsTheHalfOpenInterval) {
  const RandomStream random(7, stream_id("test"));
  const int64_t count = 1 << 20, bins = 64;
  std::vector<double> histogram(bins);
  double sum = 0, squares = 0, smallest = 1, largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double u = random.uniform(static_cast<uint64_t>(i));
    sum += u;
    squares += u * u;
    smallest = std::min(smallest, u);
    largest = std::max(largest, u);
    ++histogram[static_cast<size_t>(u * bins)];
  }
  EXPECT_TRUE(smallest >= 0 && largest < 1) << smallest << " " << largest;
  // Five standard deviations of the mean, the second moment, and chi-square with 63 degrees of freedom.
  EXPECT_WITHIN(std::abs(sum / count - 0.5), 5 * std::sqrt(1.0 / 12 / count));
  EXPECT_WITHIN(std::abs(squares / count - 1.0 / 3), 5 * std::sqrt(4.0 / 45 / count));
  double chi_square = 0;
  for (const double n : histogram) chi_square += (n - count / bins) * (n - count / bins) / (count / bins);
  EXPECT_WITHIN(std::abs(chi_square - 63), 5 * std::sqrt(2.0 * 63));
}

constexpr int64_t kCorrelated = 100'000;

// A function rather than a lambda, which would be constexpr and evaluated entirely by the compiler.
double correlation(const RandomStream& a, const RandomStream& b) {
  double sum = 0;
  for (uint64_t i = 0; i < kCorrelated; ++i) sum += (a.uniform(i) - 0.5) * (b.uniform(i) - 0.5);
  return std::abs(12 * sum / kCorrelated);
}

TEST(Random, StreamsAndSeedsAreUncorrelated) {
  const uint64_t images = stream_id("images"), texts = stream_id("texts");
  const double bound = 5 / std::sqrt(static_cast<double>(kCorrelated));
  EXPECT_WITHIN(correlation(RandomStream(1, images), RandomStream(1, texts)), bound);
  EXPECT_WITHIN(correlation(RandomStream(1, images), RandomStream(2, images)), bound);
  EXPECT_WITHIN(correlation(RandomStream(1, 1), RandomStream(1, 2)), bound);
  EXPECT_NE(stream_id("a"), stream_id("b"));
  EXPECT_EQ(stream_id(""), 0xCBF29CE484222325u);
  EXPECT_EQ(stream_id("a"), 0xAF63DC4C8601EC8Cu);  // published FNV-1a values
}

}  // namespace lib_random_test
}  // namespace sotalign
