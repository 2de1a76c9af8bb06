// Hubness corrections against double loops, and what retrieval, nearest neighbours and zero-shot
// classification do with them.
#include "sotalign/eval/hubness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "sotalign/eval/retrieval.h"
#include "sotalign/eval/top_k.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_hubness_test {

using testing::error_message;
using testing::random_normal;
using Doubles = std::vector<double>;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Hubness kKinds[] = {Hubness::kNone, Hubness::kDbs, Hubness::kInvertedSoftmax, Hubness::kCsls};

void expect_same_bits(const Floats& actual, const Floats& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0);
}

/// Cosines of all rows of a with all rows of b, [rows of a, rows of b]; 0 for zero rows.
Doubles cosines(const Floats& a, const Floats& b, int64_t d) {
  const auto dot = [&](const float* x, const float* y) {
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += double(x[j]) * double(y[j]);
    return sum;
  };
  Doubles result;
  for (size_t i = 0; i < a.size(); i += size_t(d))
    for (size_t j = 0; j < b.size(); j += size_t(d)) {
      const double lengths = std::sqrt(dot(&a[i], &a[i]) * dot(&b[j], &b[j]));
      result.push_back(lengths > 0 ? dot(&a[i], &b[j]) / lengths : 0);
    }
  return result;
}

double log_sum_exp(const Doubles& x) {
  const double most = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - most);
  return most + std::log(sum);
}

/// Potentials after `iterations` of Sinkhorn on S / tau, [n, m], less their log-sum-exp.
struct Potentials {
  Doubles u, v;
};
Potentials sinkhorn_oracle(const Doubles& s, int64_t n, int64_t m, double tau, int64_t iterations) {
  Potentials p{Doubles(size_t(n)), Doubles(size_t(m))};
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    for (int64_t i = 0; i < n; ++i) {
      Doubles terms;
      for (int64_t j = 0; j < m; ++j) terms.push_back(s[size_t(i * m + j)] / tau + p.v[size_t(j)]);
      p.u[size_t(i)] = -std::log(double(n)) - log_sum_exp(terms);
    }
    for (int64_t j = 0; j < m; ++j) {
      Doubles terms;
      for (int64_t i = 0; i < n; ++i) terms.push_back(s[size_t(i * m + j)] / tau + p.u[size_t(i)]);
      p.v[size_t(j)] = -std::log(double(m)) - log_sum_exp(terms);
    }
  }
  for (Doubles* side : {&p.u, &p.v}) {
    const double total = log_sum_exp(*side);
    for (double& value : *side) value -= total;
  }
  return p;
}

/// The correction of each gallery row from the other side of the bank and its potentials.
Doubles correction_oracle(const Floats& gallery, const Floats& bank, const Doubles& potentials, int64_t d,
                          const HubnessOptions& options) {
  const Doubles s = cosines(gallery, bank, d);
  const size_t m = bank.size() / size_t(d);
  Doubles result;
  for (size_t i = 0; i < s.size(); i += m) {
    Doubles row(s.begin() + int64_t(i), s.begin() + int64_t(i + m));
    if (options.kind == Hubness::kCsls) {
      std::sort(row.rbegin(), row.rend());
      const size_t k = std::min(size_t(options.neighbours), m);
      double sum = 0;
      for (size_t n = 0; n < k; ++n) sum += row[n];
      result.push_back(sum / double(k) / 2);
    } else if (options.kind == Hubness::kNone) {
      result.push_back(0);
    } else {
      for (size_t j = 0; j < m; ++j) row[j] = row[j] / options.temperature + potentials[j];
      result.push_back(options.temperature * log_sum_exp(row));
    }
  }
  return result;
}

/// Rows that vary in length and share a direction, so that cosines are not all near 0.
Floats rows_of(int64_t rows, int64_t d, uint64_t seed) {
  Floats x = random_normal(rows * d, seed);
  const Floats common = random_normal(d, 99), scale = testing::random_uniform(rows, seed + 1, 0.1f, 30.0f);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < d; ++j)
      x[size_t(i * d + j)] = (x[size_t(i * d + j)] + 0.7f * common[size_t(j)]) * scale[size_t(i)];
  return x;
}

class HubnessTest : public testing::DeviceTest {
 protected:
  Matrix<float> matrix(const Floats& values, int64_t d) {
    return Matrix<float>(context, values.data(), int64_t(values.size()) / d, d);
  }
  HubnessCorrection correction(const Floats& images, const Floats& texts, int64_t d,
                               const HubnessOptions& options = {}) {
    return HubnessCorrection(context, matrix(images, d), matrix(texts, d), options);
  }
  Floats download(ConstMatrixF x) {
    Floats values(size_t(x.size()));
    context.copy_to_host(values.data(), x.data, values.size() * sizeof(float));
    return values;
  }
};
SOTALIGN_ON_EVERY_DEVICE(HubnessTest);

TEST(Hubness, NamesAreReadAndWritten) {
  EXPECT_EQ(hubness_names(), (std::vector<std::string>{"none", "dbs", "inverted_softmax", "csls"}));
  for (const Hubness kind : kKinds) EXPECT_EQ(parse_hubness(to_string(kind)), kind);
  EXPECT_EQ(error_message([] { parse_hubness("DBS"); }),
            "hubness: expected one of none, dbs, inverted_softmax, csls, found 'DBS'");
  EXPECT_EQ(error_message([] { to_string(static_cast<Hubness>(9)); }), "hubness: no kind has the number 9");
}

TEST_P(HubnessTest, CorrectionsAgreeWithLoops) {
  struct Shape {
    int64_t images, texts, gallery, d, tile;
  };
  for (const Shape shape : {Shape{1, 1, 1, 1, 2048}, Shape{2, 1, 31, 3, 7}, Shape{31, 33, 2, 16, 2048},
                            Shape{127, 64, 33, 33, 10}, Shape{40, 127, 127, 8, 64}, Shape{9, 17, 5, 20, 1}}) {
    const auto [n, m, g, d, tile] = shape;
    const Floats images = rows_of(n, d, 1), texts = rows_of(m, d, 2);
    Floats gallery = rows_of(g, d, 3);
    if (g > 30) std::fill_n(gallery.begin() + 5 * d, d, 0.0f);
    for (const Hubness kind : kKinds)
      for (const double tau : {0.1, 0.02, 3.0}) {
        SCOPED_TRACE(to_string(kind) + ", bank " + std::to_string(n) + " + " + std::to_string(m) + ", tau " +
                     std::to_string(tau));
        const HubnessOptions options{
            .kind = kind, .temperature = tau, .iterations = 12, .neighbours = 10, .tile = tile};
        const HubnessCorrection hubness = correction(images, texts, d, options);
        const Potentials potentials = sinkhorn_oracle(cosines(images, texts, d), n, m, tau,
                                                      kind == Hubness::kDbs ? options.iterations : 0);
        if (kind == Hubness::kDbs || kind == Hubness::kInvertedSoftmax) {
          // Float32 cosines are within 5e-7 of the exact values, and each update averages them.
          EXPECT_WITHIN(testing::max_difference(hubness.potentials().images, potentials.u), 4e-6 / tau);
          EXPECT_WITHIN(testing::max_difference(hubness.potentials().texts, potentials.v), 4e-6 / tau);
        } else {
          EXPECT_TRUE(hubness.potentials().images.empty() && hubness.potentials().texts.empty());
        }
        const Floats of_texts = hubness.corrections(context, Side::kY, matrix(gallery, d)),
                     of_images = hubness.corrections(context, Side::kX, matrix(gallery, d));
        EXPECT_WITHIN(
            testing::max_difference(of_texts, correction_oracle(gallery, images, potentials.u, d, options)),
            2e-6);
        EXPECT_WITHIN(
            testing::max_difference(of_images, correction_oracle(gallery, texts, potentials.v, d, options)),
            2e-6);
        for (const float c : of_texts) EXPECT_WITHIN(std::abs(c), 1 + 1e-6);
      }
  }
}

TEST_P(HubnessTest, WithoutIterationsDbsIsTheInvertedSoftmax) {
  const int64_t d = 12;
  const Floats images = rows_of(37, d, 1), texts = rows_of(21, d, 2);
  const Matrix<float> gallery = matrix(rows_of(50, d, 3), d);
  const HubnessCorrection dbs = correction(images, texts, d, {.iterations = 0}),
                          softmax = correction(images, texts, d, {.kind = Hubness::kInvertedSoftmax});
  for (const Side side : {Side::kX, Side::kY})
    expect_same_bits(dbs.corrections(context, side, gallery), softmax.corrections(context, side, gallery));
  EXPECT_WITHIN(std::abs(softmax.potentials().texts[20] + std::log(21.0)), 1e-14);
}

TEST_P(HubnessTest, ThePotentialsAreThoseOfAPlanWithUniformMarginals) {
  const int64_t n = 45, m = 70, d = 12;
  const Floats images = rows_of(n, d, 1), texts = rows_of(m, d, 2);
  const HubnessCorrection hubness = correction(images, texts, d, {.iterations = 300});
  const HubnessPotentials& p = hubness.potentials();
  EXPECT_WITHIN(std::abs(log_sum_exp(p.images)), 1e-12);
  EXPECT_WITHIN(std::abs(log_sum_exp(p.texts)), 1e-12);
  const Doubles s = cosines(images, texts, d);
  Doubles row_sums(n), col_sums(m);
  double mass = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double entry = std::exp(s[size_t(i * m + j)] / 0.1 + p.images[size_t(i)] + p.texts[size_t(j)]);
      row_sums[size_t(i)] += entry, col_sums[size_t(j)] += entry, mass += entry;
    }
  for (const double sum : row_sums) EXPECT_WITHIN(std::abs(sum / mass * double(n) - 1), 1e-4);
  for (const double sum : col_sums) EXPECT_WITHIN(std::abs(sum / mass * double(m) - 1), 1e-4);
}

TEST_P(HubnessTest, ABankOfOneRowCorrectsByItsCosine) {
  const int64_t d = 5;
  const Floats image = rows_of(1, d, 1), text = rows_of(1, d, 2), gallery = rows_of(40, d, 3);
  for (const Hubness kind : {Hubness::kDbs, Hubness::kInvertedSoftmax, Hubness::kCsls}) {
    const HubnessCorrection hubness = correction(image, text, d, {.kind = kind});
    const double scale = kind == Hubness::kCsls ? 0.5 : 1.0;
    for (const auto& [side, other] : {std::pair{Side::kY, &image}, std::pair{Side::kX, &text}}) {
      Doubles expected = cosines(gallery, *other, d);
      for (double& value : expected) value *= scale;
      EXPECT_WITHIN(testing::max_difference(hubness.corrections(context, side, matrix(gallery, d)), expected),
                    5e-7);
    }
  }
}

TEST_P(HubnessTest, TilesBoundTheMemory) {
  const int64_t bank = 300, gallery_rows = 3000, d = 4;
  const Floats images = rows_of(bank, d, 1), texts = rows_of(bank, d, 2),
               gallery = rows_of(gallery_rows, d, 3);
  for (const Hubness kind : {Hubness::kDbs, Hubness::kCsls}) {
    const HubnessOptions whole{.kind = kind, .tile = 5000}, tiled{.kind = kind, .tile = 64};
    const Floats expected =
        correction(images, texts, d, whole).corrections(context, Side::kY, matrix(gallery, d));
    Context small(GetParam());
    const HubnessCorrection hubness(small, Matrix<float>(small, images.data(), bank, d),
                                    Matrix<float>(small, texts.data(), bank, d), tiled);
    const Floats found =
        hubness.corrections(small, Side::kY, Matrix<float>(small, gallery.data(), gallery_rows, d));
    EXPECT_WITHIN(testing::max_difference(found, expected), 1e-6);
    EXPECT_LT(small.peak_bytes(), bank * gallery_rows * int64_t{sizeof(float)} / 2);
  }
}

TEST_P(HubnessTest, RestoredFromItsPartsItGivesTheSameBits) {
  const int64_t d = 19;
  Floats images = rows_of(37, d, 1), texts = rows_of(44, d, 2);
  std::fill_n(images.begin() + 3 * d, d, 0.0f);
  const Matrix<float> gallery = matrix(rows_of(60, d, 3), d);
  for (const Hubness kind : kKinds) {
    const HubnessOptions options{.kind = kind, .temperature = 0.07, .iterations = 9, .neighbours = 4};
    const HubnessCorrection first = correction(images, texts, d, options);
    EXPECT_EQ(first.dim(), d);
    EXPECT_EQ(first.bank(Side::kX).rows, 37);
    EXPECT_EQ(first.bank(Side::kY).rows, 44);
    const HubnessCorrection second(context, matrix(download(first.bank(Side::kX)), d),
                                   matrix(download(first.bank(Side::kY)), d), first.potentials(),
                                   first.options());
    for (const Side side : {Side::kX, Side::kY}) {
      expect_same_bits(download(second.bank(side)), download(first.bank(side)));
      expect_same_bits(second.corrections(context, side, gallery), first.corrections(context, side, gallery));
    }
    EXPECT_EQ(second.potentials().images, first.potentials().images);
    EXPECT_EQ(second.potentials().texts, first.potentials().texts);
  }
}

TEST_P(HubnessTest, RestoredPotentialsMayDifferAsMuchAsATransportAllows) {
  const int64_t d = 3;
  const Floats bank = testing::random_unit_rows(2, d, 1), gallery = rows_of(35, d, 2);
  for (const double tau : {0.1, 1e-2, 1e-4}) {
    const double least = -2 / tau - std::log(2.0) - 0.9;
    const HubnessOptions options{.temperature = tau};
    const HubnessCorrection hubness(context, matrix(bank, d), matrix(bank, d), {{0, least}, {least, 0}},
                                    options);
    EXPECT_WITHIN(testing::max_difference(hubness.corrections(context, Side::kY, matrix(gallery, d)),
                                          correction_oracle(gallery, bank, {0, least}, d, options)),
                  2e-6);
  }
}

TEST_P(HubnessTest, ViewsWithPaddingGiveTheSameBits) {
  const int64_t n = 11, d = 6, stride = 9;
  const Floats images = rows_of(n, d, 1), texts = rows_of(n, d, 2), gallery = rows_of(n, d, 3);
  const auto padded = [&](const Floats& x) {
    Floats wide(size_t(n * stride), kNan);
    for (int64_t i = 0; i < n; ++i) std::copy_n(x.begin() + i * d, d, wide.begin() + i * stride);
    return matrix(wide, stride);
  };
  const Matrix<float> wide_images = padded(images), wide_texts = padded(texts),
                      wide_gallery = padded(gallery);
  const auto view = [&](const Matrix<float>& x) { return ConstMatrixF(x.data(), n, d, stride); };
  const HubnessCorrection plain = correction(images, texts, d);
  const HubnessCorrection wide(context, view(wide_images), view(wide_texts));
  expect_same_bits(wide.corrections(context, Side::kX, view(wide_gallery)),
                   plain.corrections(context, Side::kX, matrix(gallery, d)));
  // Restored from rows with padding, too. The rows must have unit length.
  const Matrix<float> unit = padded(download(plain.bank(Side::kX))),
                      unit_texts = padded(download(plain.bank(Side::kY)));
  const HubnessCorrection restored(context, view(unit), view(unit_texts), plain.potentials(), {});
  expect_same_bits(restored.corrections(context, Side::kX, view(wide_gallery)),
                   plain.corrections(context, Side::kX, matrix(gallery, d)));
}

TEST_P(HubnessTest, RunsAndNumbersOfThreadsGiveTheSameBits) {
  const int64_t n = 130, d = 33, g = 257;
  const Floats images = rows_of(n, d, 1), texts = rows_of(n + 7, d, 2), gallery = rows_of(g, d, 3);
  for (const Hubness kind : kKinds) {
    std::vector<Floats> found;
    for (const int threads : {1, 1, 2, 3}) {
      Context own(GetParam(), threads);
      const HubnessCorrection hubness(own, Matrix<float>(own, images.data(), n, d),
                                      Matrix<float>(own, texts.data(), n + 7, d),
                                      {.kind = kind, .tile = 100});
      found.push_back(hubness.corrections(own, Side::kY, Matrix<float>(own, gallery.data(), g, d)));
      expect_same_bits(found.back(), found.front());
    }
  }
}

// --- the bank ---

TEST(Hubness, TheBankIsDrawnBySeedAndSide) {
  const auto rows = [](Side side, int64_t population, int64_t bank, uint64_t seed) {
    return hubness_bank_rows(side, population, {.bank = bank, .seed = seed});
  };
  const std::vector<int64_t> drawn = rows(Side::kX, 10000, 1500, 7);
  EXPECT_EQ(drawn.size(), 1500u);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 1500u);
  EXPECT_GE(drawn.front(), 0);
  EXPECT_LT(drawn.back(), 10000);
  // Spread over the whole population: about 750 in each half.
  const auto low = std::lower_bound(drawn.begin(), drawn.end(), 5000) - drawn.begin();
  EXPECT_TRUE(low > 650 && low < 850) << low;
  EXPECT_EQ(rows(Side::kX, 10000, 1500, 7), drawn);
  EXPECT_NE(rows(Side::kX, 10000, 1500, 8), drawn);
  EXPECT_NE(rows(Side::kY, 10000, 1500, 7), drawn);
  EXPECT_EQ(rows(Side::kY, 5, 1500, 7), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(rows(Side::kY, 5, 5, 7), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(rows(Side::kY, 1, 1, 0), std::vector<int64_t>{0});
  EXPECT_EQ(error_message([&] { rows(Side::kX, 0, 5, 0); }),
            "hubness: expected at least 1 unpaired image, found 0");
  EXPECT_EQ(error_message([&] { rows(Side::kY, 5, 0, 0); }), "hubness: bank, expected at least 1, found 0");
}

// --- in use ---

// The hub is the direction that all images share; the right text of an image is less similar to it.
TEST_P(HubnessTest, AHubLosesTheAnswersThatItTook) {
  const int64_t n = 200, d = 32;
  const Floats middle = random_normal(d, 1);
  const auto draw = [&](uint64_t seed, Floats& images, Floats& texts) {
    const Floats topic = random_normal(n * d, seed), noise = random_normal(n * d, seed + 1);
    for (int64_t i = 0; i < n * d; ++i) {
      images.push_back(topic[size_t(i)] + middle[size_t(i % d)]);
      texts.push_back(topic[size_t(i)] + 1.2f * noise[size_t(i)]);
    }
  };
  Floats images, texts, bank_images, bank_texts;
  draw(10, images, texts);
  draw(20, bank_images, bank_texts);
  std::copy(middle.begin(), middle.end(), texts.begin());
  const Matrix<float> queries = matrix(images, d), gallery = matrix(texts, d);
  const auto taken = [&](const Floats& corrections) {
    const std::vector<int64_t> best =
        top_k(context, queries, gallery, 1, {.corrections = corrections}).indices;
    return std::count(best.begin(), best.end(), 0);
  };
  EXPECT_GT(taken({}), n * 3 / 4);
  const double plain = retrieval(context, queries, gallery).image_to_text.r1;
  for (const Hubness kind : {Hubness::kDbs, Hubness::kInvertedSoftmax, Hubness::kCsls}) {
    SCOPED_TRACE(to_string(kind));
    const Floats corrections =
        correction(bank_images, bank_texts, d, {.kind = kind}).corrections(context, Side::kY, gallery);
    // Any text is near to ten images of the bank, so csls sets the hub less apart.
    EXPECT_LT(taken(corrections), kind == Hubness::kCsls ? n / 2 : n / 10);
    EXPECT_GT(retrieval(context, queries, gallery, {.text_corrections = corrections}).image_to_text.r1,
              plain + 0.2);
  }
}

TEST_P(HubnessTest, ErrorsNameWhatIsWrong) {
  const int64_t d = 2;
  const Floats two = {1, 2, 3, 4}, three = {1, 0, 0, 1, 1, 1};
  const auto built = [&](const Floats& images, const Floats& texts, const HubnessOptions& options) {
    return error_message([&] { correction(images, texts, d, options); });
  };
  EXPECT_EQ(built(two, three, {}), "no exception");
  EXPECT_EQ(built({}, three, {}), "hubness: expected a bank with images and texts, found [0, 2] and [3, 2]");
  EXPECT_EQ(built(two, {}, {}), "hubness: expected a bank with images and texts, found [2, 2] and [0, 2]");
  EXPECT_EQ(built(two, three, {.bank = 2}),
            "hubness: expected a bank of at most 2 rows of each side, found 2 images and 3 texts");
  EXPECT_EQ(built(two, three, {.bank = 0}), "hubness: bank, expected at least 1, found 0");
  EXPECT_EQ(built(two, three, {.iterations = -1}), "hubness: iterations, expected at least 0, found -1");
  EXPECT_EQ(built(two, three, {.neighbours = 0}), "hubness: neighbours, expected at least 1, found 0");
  EXPECT_EQ(built(two, three, {.tile = 0}), "hubness: tile, expected at least 1, found 0");
  EXPECT_EQ(built(two, three, {.kind = static_cast<Hubness>(7)}), "hubness: no kind has the number 7");
  EXPECT_EQ(built(two, three, {.temperature = double(kNan)}),
            "hubness: temperature, expected a number from 0.0001 to 10, found nan");
  for (const double bad : {0.0, -0.1, 1e-5, 11.0, std::numeric_limits<double>::infinity()})
    EXPECT_EQ(built(two, three, {.temperature = bad}).rfind("hubness: temperature, expected", 0), 0u);
  EXPECT_EQ(built({1, 2, kNan, 4}, three, {}),
            "hubness: bank image 1, expected a row of finite numbers, found one of length nan");
  EXPECT_EQ(
      built(two, {1, 2, std::numeric_limits<float>::infinity(), 4}, {}).rfind("hubness: bank text 1, ", 0),
      0u);
  EXPECT_EQ(error_message([&] { HubnessCorrection(context, matrix(two, 2), matrix(three, 3)); }),
            "hubness: images and texts of the bank need equally many columns, found 2 and 3");

  const HubnessCorrection hubness = correction(two, three, d);
  const auto corrected = [&](const Matrix<float>& gallery) {
    return error_message([&] { hubness.corrections(context, Side::kX, gallery); });
  };
  EXPECT_EQ(corrected(matrix(three, 3)),
            "hubness: gallery and bank need equally many columns, found 3 and 2");
  EXPECT_EQ(corrected(matrix({}, 2)), "hubness: expected a gallery, found [0, 2]");
  EXPECT_EQ(corrected(matrix({1, 2, 3, kNan}, 2)),
            "hubness: gallery row 1, expected a row of finite numbers, found one of length nan");

  const Matrix<float> images = matrix({1, 0, 0, 1}, 2), texts = matrix({0, 1}, 2);
  const double half = std::log(0.5);
  const auto restored = [&](const Matrix<float>& x, HubnessPotentials potentials, Hubness kind) {
    return error_message(
        [&] { HubnessCorrection(context, x, texts, std::move(potentials), {.kind = kind}); });
  };
  EXPECT_EQ(restored(images, {{half, half}, {0}}, Hubness::kDbs), "no exception");
  EXPECT_EQ(restored(images, {}, Hubness::kCsls), "no exception");
  EXPECT_EQ(restored(images, {{half}, {0}}, Hubness::kDbs),
            "hubness: potentials of the images, expected 2 for dbs, found 1");
  EXPECT_EQ(restored(images, {{half, half}, {}}, Hubness::kInvertedSoftmax),
            "hubness: potentials of the texts, expected 1 for inverted_softmax, found 0");
  EXPECT_EQ(restored(images, {{half, half}, {0}}, Hubness::kCsls),
            "hubness: potentials of the images, expected 0 for csls, found 2");
  EXPECT_EQ(restored(images, {{half, double(kNan)}, {0}}, Hubness::kDbs),
            "hubness: potentials of the images, expected numbers of at least -21.6931, found nan at 1");
  EXPECT_EQ(restored(images, {{0, -1e300}, {0}}, Hubness::kDbs),
            "hubness: potentials of the images, expected numbers of at least -21.6931, found -1e+300 at 1");
  EXPECT_EQ(restored(images, {{half, std::numeric_limits<double>::infinity()}, {0}}, Hubness::kDbs)
                .rfind("hubness: potentials of the images, expected exponentials that sum to 1", 0),
            0u);
  EXPECT_EQ(restored(images, {{half, half}, {3}}, Hubness::kDbs),
            "hubness: potentials of the texts, expected exponentials that sum to 1, found a sum of exp(3)");
  EXPECT_EQ(restored(matrix({1, 0, 0, 2}, 2), {{half, half}, {0}}, Hubness::kDbs),
            "hubness: bank image 1, expected a row of length 1 or 0, found one of length 2");
}

}  // namespace lib_hubness_test
}  // namespace sotalign
