// Retrieval ranks and nearest neighbours against brute force.
#include "sotalign/eval/retrieval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/top_k.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_retrieval_test {

using testing::random_normal;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Entries of +-1 in 64 columns: unit rows have entries +-1/8, so every cosine is exact in any summation
/// order, and ties are frequent. Text j is image j / copies with two thirds of its signs redrawn.
struct Signs {
  std::vector<float> images, texts;
};
constexpr int64_t kSignCols = 64;
Signs random_signs(int64_t n, int64_t copies, uint64_t seed) {
  std::mt19937_64 engine(seed);
  const auto sign = [&] { return engine() % 2 ? 1.0f : -1.0f; };
  Signs signs;
  for (int64_t i = 0; i < n * kSignCols; ++i) signs.images.push_back(sign());
  for (int64_t j = 0; j < n * copies; ++j)
    for (int64_t c = 0; c < kSignCols; ++c)
      signs.texts.push_back(engine() % 3 ? sign() : signs.images[(j / copies) * kSignCols + c]);
  return signs;
}

std::vector<double> cosines(const std::vector<float>& a, const std::vector<float>& b, int64_t d) {
  const auto dot = [&](const float* x, const float* y) {
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += double(x[j]) * double(y[j]);
    return sum;
  };
  const size_t n = a.size() / size_t(d), m = b.size() / size_t(d);
  std::vector<double> result;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < m; ++j) {
      const float *x = &a[i * size_t(d)], *y = &b[j * size_t(d)];
      const double lengths = std::sqrt(dot(x, x) * dot(y, y));
      result.push_back(lengths > 0 ? dot(x, y) / lengths : 0);
    }
  return result;
}

/// Ranks of a's rows by brute force; `slack` shifts the score that wrong answers must reach. `corrections` of
/// b's rows are subtracted if there are any.
std::vector<int64_t> oracle(const std::vector<float>& a, const std::vector<float>& b, int64_t d,
                            const std::vector<int64_t>& a_ids, const std::vector<int64_t>& b_ids,
                            double slack = 0, const std::vector<float>& corrections = {}) {
  const std::vector<double> scores = cosines(a, b, d);
  std::vector<int64_t> ranks;
  for (size_t i = 0; i < a_ids.size(); ++i) {
    std::vector<double> wrong;
    double best = -std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < b_ids.size(); ++j) {
      const double score =
          scores[i * b_ids.size() + j] - (corrections.empty() ? 0.0 : double(corrections[j]));
      if (a_ids[i] == b_ids[j])
        best = std::max(best, score);
      else
        wrong.push_back(score);
    }
    std::sort(wrong.begin(), wrong.end());
    const auto first = std::lower_bound(wrong.begin(), wrong.end(), best - kRetrievalMargin + slack);
    ranks.push_back(1 + (wrong.end() - first));
  }
  return ranks;
}

std::vector<int64_t> row_ids(int64_t n, int64_t copies = 1) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < n * copies; ++i) ids.push_back(i / copies);
  return ids;
}

class RetrievalTest : public testing::DeviceTest {
 protected:
  Matrix<float> matrix(const std::vector<float>& values, int64_t d) {
    return Matrix<float>(context, values.data(), int64_t(values.size()) / d, d);
  }
  RetrievalRanks ranks(const std::vector<float>& images, const std::vector<float>& texts, int64_t d,
                       const RetrievalOptions& options = {}) {
    return retrieval_ranks(context, matrix(images, d), matrix(texts, d), options);
  }
};
SOTALIGN_ON_EVERY_DEVICE(RetrievalTest);

TEST_P(RetrievalTest, RanksAgreeWithBruteForce) {
  for (const int64_t n : {1, 2, 31, 32, 33, 127}) {
    const Signs signs = random_signs(n, 1, uint64_t(n));
    const std::vector<int64_t> ids = row_ids(n);
    for (const int64_t tile : {1, 7, 64, 1000}) {
      const RetrievalRanks found = ranks(signs.images, signs.texts, kSignCols, {.tile = tile});
      EXPECT_EQ(found.image_to_text, oracle(signs.images, signs.texts, kSignCols, ids, ids));
      EXPECT_EQ(found.text_to_image, oracle(signs.texts, signs.images, kSignCols, ids, ids));
    }
  }
}

TEST_P(RetrievalTest, RanksOfRealNumbersAgreeUpToRounding) {
  const int64_t n = 257, d = 33;
  const std::vector<float> images = random_normal(n * d, 1, 5.0f);
  std::vector<float> texts = random_normal(n * d, 2);
  for (size_t i = 0; i < texts.size(); ++i) texts[i] += 0.1f * images[i];
  const RetrievalRanks found = ranks(images, texts, d, {.tile = 100});
  const std::vector<int64_t> ids = row_ids(n);
  // Float32 cosines are within 5e-7 of the exact values.
  const std::vector<int64_t> low = oracle(images, texts, d, ids, ids, 5e-7),
                             high = oracle(images, texts, d, ids, ids, -5e-7);
  for (size_t i = 0; i < low.size(); ++i) {
    EXPECT_GE(found.image_to_text[i], low[i]);
    EXPECT_LE(found.image_to_text[i], high[i]);
  }
}

TEST_P(RetrievalTest, SeveralCaptionsPerImage) {
  const int64_t n = 41, copies = 3;
  Signs signs = random_signs(n, copies, 3);
  std::vector<int64_t> image_ids = row_ids(n), text_ids = row_ids(n, copies);
  // Ids are arbitrary numbers in any order; image 5 occurs twice.
  for (int64_t& id : image_ids) id = (id * 7919) % 1000003 - 500000;
  for (int64_t& id : text_ids) id = (id * 7919) % 1000003 - 500000;
  image_ids.push_back(image_ids[5]);
  for (int64_t c = 0; c < kSignCols; ++c) signs.images.push_back(-signs.images[size_t(5 * kSignCols + c)]);
  for (const int64_t tile : {1, 7, 1000}) {
    const RetrievalRanks found = ranks(signs.images, signs.texts, kSignCols, {image_ids, text_ids, tile});
    EXPECT_EQ(found.image_to_text, oracle(signs.images, signs.texts, kSignCols, image_ids, text_ids));
    EXPECT_EQ(found.text_to_image, oracle(signs.texts, signs.images, kSignCols, text_ids, image_ids));
  }
}

TEST_P(RetrievalTest, CollapsedEmbeddingsGetTheWorstRank) {
  const int64_t n = 61, d = 257;
  const std::vector<float> row = random_normal(d, 4);
  std::vector<float> equal;
  for (int64_t i = 0; i < n; ++i) equal.insert(equal.end(), row.begin(), row.end());
  const std::vector<int64_t> worst(size_t(n), n);
  // Tiles of 1 and 7 rows take equal rows through different code paths of the matrix product.
  for (const int64_t tile : {1, 7, 61}) {
    const RetrievalRanks found = ranks(equal, equal, d, {.tile = tile});
    EXPECT_EQ(found.image_to_text, worst);
    EXPECT_EQ(found.text_to_image, worst);
  }
  const RetrievalRanks zeros = ranks(std::vector<float>(n * d), std::vector<float>(n * d), d);
  EXPECT_EQ(zeros.image_to_text, worst);
  // With ids, the worst rank comes after all wrong answers; here there are none.
  const RetrievalResult grouped =
      retrieval(context, matrix(equal, d), matrix(equal, d),
                {std::vector<int64_t>(size_t(n), 8), std::vector<int64_t>(size_t(n), 8)});
  EXPECT_EQ(grouped.mean_r1, 1.0);
}

TEST_P(RetrievalTest, TiesReachAsFarAsTheMargin) {
  const auto at = [](double cosine) {
    return std::vector<float>{float(cosine), float(std::sqrt(1 - cosine * cosine))};
  };
  const auto rank = [&](double wrong) {
    std::vector<float> texts = at(0.6), other = at(wrong);
    texts.insert(texts.end(), other.begin(), other.end());
    return ranks({1, 0, 0, 1}, texts, 2).image_to_text[0];
  };
  EXPECT_EQ(rank(0.7), 2);
  EXPECT_EQ(rank(0.6), 2);
  EXPECT_EQ(rank(0.6 - 5e-7), 2);
  EXPECT_EQ(rank(0.6 - 1e-5), 1);
}

TEST_P(RetrievalTest, NanIsNoSuccess) {
  const int64_t n = 9, d = 16;
  const std::vector<float> clean = random_normal(n * d, 5);
  std::vector<float> images = clean;
  images[3 * d + 2] = kNan;
  const RetrievalRanks found = ranks(images, clean, d, {.tile = 4});
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_EQ(found.image_to_text[size_t(i)], i == 3 ? n : 1);
    EXPECT_EQ(found.text_to_image[size_t(i)], i == 3 ? n : 2);
  }
}

TEST_P(RetrievalTest, TilesGiveTheResultOfTheWholeMatrixInBoundedMemory) {
  const int64_t n = 3000;
  const Signs signs = random_signs(n, 1, 6);
  const RetrievalRanks whole = ranks(signs.images, signs.texts, kSignCols, {.tile = n});
  Context small(GetParam(), 3);
  const RetrievalRanks tiled =
      retrieval_ranks(small, Matrix<float>(small, signs.images.data(), n, kSignCols),
                      Matrix<float>(small, signs.texts.data(), n, kSignCols), {.tile = 129});
  EXPECT_EQ(tiled.image_to_text, whole.image_to_text);
  EXPECT_EQ(tiled.text_to_image, whole.text_to_image);
  EXPECT_LT(small.peak_bytes(), n * n);  // a quarter of the score matrix
}

/// Multiples of 1/64 from -1/4 to 1/4: the differences from cosines of signs are exact.
std::vector<float> exact_corrections(int64_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<float> corrections(static_cast<size_t>(count));
  for (float& value : corrections) value = static_cast<float>(engine() % 33) / 64 - 0.25f;
  return corrections;
}

TEST_P(RetrievalTest, CorrectionsAreSubtractedFromTheGallerysCosines) {
  for (const int64_t n : {1, 2, 31, 33, 127})
    for (const int64_t copies : {1, 3}) {
      SCOPED_TRACE(std::to_string(n) + " images, " + std::to_string(copies) + " texts each");
      const Signs signs = random_signs(n, copies, uint64_t(n + copies));
      const std::vector<int64_t> image_ids = row_ids(n), text_ids = row_ids(n, copies);
      const std::vector<float> image_corrections = exact_corrections(n, 1),
                               text_corrections = exact_corrections(n * copies, 2);
      const std::vector<int64_t> plain = oracle(signs.images, signs.texts, kSignCols, image_ids, text_ids),
                                 plain_texts =
                                     oracle(signs.texts, signs.images, kSignCols, text_ids, image_ids),
                                 corrected = oracle(signs.images, signs.texts, kSignCols, image_ids, text_ids,
                                                    0, text_corrections),
                                 corrected_texts = oracle(signs.texts, signs.images, kSignCols, text_ids,
                                                          image_ids, 0, image_corrections);
      EXPECT_TRUE(n < 127 || corrected != plain);  // otherwise the test would be weak
      for (const int64_t tile : {7, 64, 1000}) {
        RetrievalOptions options{image_ids, text_ids, tile, image_corrections, text_corrections};
        RetrievalRanks found = ranks(signs.images, signs.texts, kSignCols, options);
        EXPECT_EQ(found.image_to_text, corrected);
        EXPECT_EQ(found.text_to_image, corrected_texts);
        options.image_corrections.clear();
        found = ranks(signs.images, signs.texts, kSignCols, options);
        EXPECT_EQ(found.image_to_text, corrected);
        EXPECT_EQ(found.text_to_image, plain_texts);
        options.text_corrections.assign(text_corrections.size(), 0.0f);
        EXPECT_EQ(ranks(signs.images, signs.texts, kSignCols, options).image_to_text, plain);
      }
    }
}

TEST_P(RetrievalTest, CorrectionsOfRealNumbersAgreeUpToRounding) {
  const int64_t n = 257, d = 33;
  const std::vector<float> images = random_normal(n * d, 1, 5.0f);
  std::vector<float> texts = random_normal(n * d, 2);
  for (size_t i = 0; i < texts.size(); ++i) texts[i] += 0.1f * images[i];
  const std::vector<float> of_images = random_normal(n, 3, 0.2f), of_texts = random_normal(n, 4, 0.2f);
  const RetrievalRanks found =
      ranks(images, texts, d, {.tile = 100, .image_corrections = of_images, .text_corrections = of_texts});
  const std::vector<int64_t> ids = row_ids(n);
  // Float32 cosines are within 5e-7 of the exact values; the difference is rounded once more.
  const double slack = 7e-7;
  const std::vector<int64_t> low = oracle(images, texts, d, ids, ids, slack, of_texts),
                             high = oracle(images, texts, d, ids, ids, -slack, of_texts),
                             text_low = oracle(texts, images, d, ids, ids, slack, of_images),
                             text_high = oracle(texts, images, d, ids, ids, -slack, of_images);
  for (size_t i = 0; i < low.size(); ++i) {
    EXPECT_GE(found.image_to_text[i], low[i]);
    EXPECT_LE(found.image_to_text[i], high[i]);
    EXPECT_GE(found.text_to_image[i], text_low[i]);
    EXPECT_LE(found.text_to_image[i], text_high[i]);
  }
}

TEST_P(RetrievalTest, AConstantCorrectionChangesNoRank) {
  const Signs signs = random_signs(127, 1, 8);
  const RetrievalRanks plain = ranks(signs.images, signs.texts, kSignCols);
  for (const float constant : {0.0f, 0.3f, -1.0f, 0.9999f}) {
    const std::vector<float> corrections(127, constant);
    const RetrievalRanks found =
        ranks(signs.images, signs.texts, kSignCols,
              {.tile = 50, .image_corrections = corrections, .text_corrections = corrections});
    EXPECT_EQ(found.image_to_text, plain.image_to_text);
    EXPECT_EQ(found.text_to_image, plain.text_to_image);
  }
}

TEST_P(RetrievalTest, CorrectionsAreNoExcuseForCollapse) {
  const int64_t n = 61, d = 17;
  const std::vector<float> row = random_normal(d, 4);
  std::vector<float> equal;
  for (int64_t i = 0; i < n; ++i) equal.insert(equal.end(), row.begin(), row.end());
  const std::vector<float> corrections(size_t(n), 0.37f);
  const RetrievalRanks found =
      ranks(equal, equal, d, {.tile = 7, .image_corrections = corrections, .text_corrections = corrections});
  EXPECT_EQ(found.image_to_text, std::vector<int64_t>(size_t(n), n));
  EXPECT_EQ(found.text_to_image, std::vector<int64_t>(size_t(n), n));
  std::vector<float> spoilt = equal;
  spoilt[3 * d] = kNan;
  EXPECT_EQ(ranks(spoilt, equal, d, {.text_corrections = corrections}).image_to_text[3], n);
}

TEST_P(RetrievalTest, ErrorsOfCorrections) {
  const auto message = [&](const RetrievalOptions& options) {
    return testing::error_message([&] { ranks({1, 0, 0, 1}, {1, 0, 0, 1}, 2, options); });
  };
  EXPECT_EQ(message({.image_corrections = {1, 2, 3}}),
            "retrieval: image_corrections, expected one for each of the 2 images, found 3");
  EXPECT_EQ(message({.text_corrections = {1}}),
            "retrieval: text_corrections, expected one for each of the 2 texts, found 1");
  EXPECT_EQ(message({.text_corrections = {1, kNan}}),
            "retrieval: text_corrections, expected finite numbers, found nan at 1");
  EXPECT_EQ(message({.image_corrections = {std::numeric_limits<float>::infinity(), 0}}),
            "retrieval: image_corrections, expected finite numbers, found inf at 0");
}

TEST_P(RetrievalTest, MeanReciprocalRank) {
  EXPECT_DOUBLE_EQ(summarize_ranks({7, 1, 3}).mean_reciprocal_rank, (1.0 / 7 + 1 + 1.0 / 3) / 3);
  EXPECT_EQ(summarize_ranks({1, 1}).mean_reciprocal_rank, 1.0);
  EXPECT_EQ(summarize_ranks({4, 4, 4}).mean_reciprocal_rank, 0.25);
  EXPECT_EQ(testing::error_message([] {
              summarize_ranks({2, 0});
            }),
            "retrieval: ranks, expected at least 1, found 0");
  // Any caption of an image counts; ties count against the model.
  const int64_t n = 41, copies = 3;
  const Signs signs = random_signs(n, copies, 3);
  const std::vector<int64_t> image_ids = row_ids(n), text_ids = row_ids(n, copies);
  const RetrievalResult result = retrieval(context, matrix(signs.images, kSignCols),
                                           matrix(signs.texts, kSignCols), {image_ids, text_ids});
  const auto mean = [](const std::vector<int64_t>& ranks) {
    double sum = 0;
    for (const int64_t rank : ranks) sum += 1.0 / double(rank);
    return sum / double(ranks.size());
  };
  const double images = mean(oracle(signs.images, signs.texts, kSignCols, image_ids, text_ids)),
               texts = mean(oracle(signs.texts, signs.images, kSignCols, text_ids, image_ids));
  EXPECT_EQ(result.image_to_text.mean_reciprocal_rank, images);
  EXPECT_EQ(result.text_to_image.mean_reciprocal_rank, texts);
  EXPECT_EQ(result.mean_reciprocal_rank, 0.5 * (images + texts));
  EXPECT_GT(result.mean_reciprocal_rank, result.mean_r1);  // otherwise the test would be weak
  EXPECT_LT(result.mean_reciprocal_rank, 1.0);
  const std::vector<float> equal(size_t(n * 2), 1.0f);
  EXPECT_EQ(retrieval(context, matrix(equal, 2), matrix(equal, 2)).mean_reciprocal_rank,
            mean(std::vector<int64_t>(size_t(n), n)));
}

TEST_P(RetrievalTest, SummaryOfRanks) {
  const RecallAtK odd = summarize_ranks({7, 1, 3});
  EXPECT_EQ(odd.queries, 3);
  EXPECT_EQ(odd.median_rank, 3.0);
  EXPECT_DOUBLE_EQ(odd.r1, 1.0 / 3);
  EXPECT_DOUBLE_EQ(odd.r5, 2.0 / 3);
  EXPECT_EQ(odd.r10, 1.0);
  const RecallAtK even = summarize_ranks({11, 5, 10, 2});
  EXPECT_EQ(even.median_rank, 7.5);
  EXPECT_EQ(even.r1, 0.0);
  EXPECT_EQ(even.r5, 0.5);
  EXPECT_EQ(even.r10, 0.75);

  const RetrievalResult result = retrieval(context, matrix({1, 0, 0, 1}, 2), matrix({1, 0, 1, 0.5f}, 2));
  EXPECT_EQ(result.image_to_text.r1, 1.0);
  EXPECT_EQ(result.text_to_image.r1, 0.5);
  EXPECT_EQ(result.mean_r1, 0.75);
}

TEST_P(RetrievalTest, ErrorsNameTheQuery) {
  const auto message = [&](int64_t images, int64_t texts, const RetrievalOptions& options) {
    try {
      ranks(std::vector<float>(size_t(images) * 2, 1.0f), std::vector<float>(size_t(texts) * 2, 1.0f), 2,
            options);
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(2, 3, {{4, 5}, {5, 9, 4}}),
            "retrieval: text 1 (id 9) has no image with its id among the 2 images");
  EXPECT_EQ(message(3, 2, {{4, 5, 6}, {6, 4}}),
            "retrieval: image 1 (id 5) has no text with its id among the 2 texts");
  EXPECT_EQ(message(2, 2, {{4, 5}, {4}}),
            "retrieval: text_ids, expected one id for each of the 2 rows, found 1");
  EXPECT_EQ(message(2, 3, {}),
            "retrieval: without ids row i belongs to row i, expected equally many rows, found 2 images and 3 "
            "texts");
  EXPECT_EQ(message(0, 0, {}), "retrieval: expected images and texts, found [0, 2] and [0, 2]");
  EXPECT_EQ(message(2, 2, {.tile = 0}), "retrieval: tile, expected at least 1, found 0");
  EXPECT_THROW(retrieval(context, matrix({1, 2, 3, 4}, 2), matrix({1, 2, 3, 4}, 4)), InvalidArgument);
  EXPECT_THROW(summarize_ranks({}), InvalidArgument);
}

TEST_P(RetrievalTest, TopKAgreesWithSorting) {
  for (const int64_t m : {1, 2, 33, 300}) {
    const int64_t n = 37;
    const std::vector<float> queries = random_signs(n, 1, 7).images, gallery = random_signs(m, 1, 8).images;
    const std::vector<double> scores = cosines(queries, gallery, kSignCols);
    for (const int64_t k : {int64_t{1}, (m + 1) / 2, m})
      for (const int64_t tile : {1, 7, 1000}) {
        const TopKResult result =
            top_k(context, matrix(queries, kSignCols), matrix(gallery, kSignCols), k, {.tile = tile});
        ASSERT_EQ(result.k, k);
        ASSERT_EQ(result.indices.size(), size_t(n * k));
        for (int64_t i = 0; i < n; ++i) {
          std::vector<int64_t> order(static_cast<size_t>(m));
          std::iota(order.begin(), order.end(), 0);
          const double* row = &scores[size_t(i * m)];
          std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return row[a] > row[b]; });
          for (int64_t r = 0; r < k; ++r) {
            EXPECT_EQ(result.indices[size_t(i * k + r)], order[size_t(r)]);
            EXPECT_EQ(result.scores[size_t(i * k + r)], float(row[order[size_t(r)]]));
          }
        }
      }
  }
}

TEST_P(RetrievalTest, TopKSubtractsCorrections) {
  const int64_t n = 37, m = 130;
  const std::vector<float> queries = random_signs(n, 1, 7).images, gallery = random_signs(m, 1, 8).images,
                           corrections = exact_corrections(m, 9);
  const std::vector<double> scores = cosines(queries, gallery, kSignCols);
  for (const int64_t k : {int64_t{1}, int64_t{10}, m})
    for (const int64_t tile : {7, 1000}) {
      const TopKResult result = top_k(context, matrix(queries, kSignCols), matrix(gallery, kSignCols), k,
                                      {.tile = tile, .corrections = corrections});
      for (int64_t i = 0; i < n; ++i) {
        const auto score = [&](int64_t j) {
          return scores[size_t(i * m + j)] - double(corrections[size_t(j)]);
        };
        std::vector<int64_t> order(static_cast<size_t>(m));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](int64_t a, int64_t b) { return score(a) > score(b); });
        for (int64_t r = 0; r < k; ++r) {
          EXPECT_EQ(result.indices[size_t(i * k + r)], order[size_t(r)]);
          EXPECT_EQ(result.scores[size_t(i * k + r)], float(score(order[size_t(r)])));
        }
      }
    }
}

TEST_P(RetrievalTest, TopKOfPartsIsThatOfTheWhole) {
  const int64_t n = 37, m = 300, k = 11;
  const std::vector<float> queries = random_signs(n, 1, 7).images, gallery = random_signs(m, 1, 8).images,
                           corrections = exact_corrections(m, 9);
  const Matrix<float> device_queries = matrix(queries, kSignCols),
                      device_gallery = matrix(gallery, kSignCols);
  const ConstMatrixF all = device_gallery;
  for (const bool corrected : {false, true}) {
    const TopKResult whole =
        top_k(context, device_queries, device_gallery, k,
              {.tile = 32, .corrections = corrected ? corrections : std::vector<float>()});
    for (const int64_t part : {int64_t{1}, int64_t{32}, int64_t{50}, int64_t{128}, m}) {
      TopKSearch search(context, device_queries, k, 32);
      for (int64_t first = 0; first < m; first += part) {
        const int64_t count = std::min(part, m - first);
        search.add(all.row_range(first, count),
                   corrected
                       ? std::vector<float>(corrections.begin() + first, corrections.begin() + first + count)
                       : std::vector<float>());
      }
      const TopKResult found = search.result();
      EXPECT_EQ(found.indices, whole.indices) << part;
      EXPECT_EQ(found.scores, whole.scores) << part;
    }
  }
  TopKSearch few(context, device_queries, 4);
  few.add(all.row_range(0, 3));
  EXPECT_EQ(few.result().indices[3], -1);
  EXPECT_THROW(few.add(matrix({1, 2, 3}, 3)), InvalidArgument);
  EXPECT_THROW(few.add(all.row_range(0, 3), {1.0f}), InvalidArgument);
  EXPECT_THROW(TopKSearch(context, device_queries, 0), InvalidArgument);
  EXPECT_THROW(TopKSearch(context, device_queries, 1, 0), InvalidArgument);
}

TEST_P(RetrievalTest, TopKNeverReturnsNan) {
  const TopKResult result =
      top_k(context, matrix({1, 0, kNan, 0}, 2), matrix({0, 1, kNan, 1, 1, 1}, 2), 3, {.tile = 2});
  EXPECT_EQ(result.indices, (std::vector<int64_t>{2, 0, -1, -1, -1, -1}));
  EXPECT_EQ(result.scores[2], -std::numeric_limits<float>::infinity());
}

TEST_P(RetrievalTest, TopKErrors) {
  const Matrix<float> a(context, 3, 2), b(context, 4, 2), c(context, 4, 5);
  try {
    top_k(context, a, b, 5);
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(), "top_k: k, expected 1 to 4 (gallery rows), found 5");
  }
  EXPECT_THROW(top_k(context, a, b, 0), InvalidArgument);
  EXPECT_THROW(top_k(context, a, c, 1), InvalidArgument);
  EXPECT_THROW(top_k(context, a, b, 1, {.tile = 0}), InvalidArgument);
  EXPECT_EQ(testing::error_message([&] {
              top_k(context, a, b, 1, {.corrections = {1, 2, 3}});
            }),
            "top_k: corrections, expected one for each of the 4 gallery rows, found 3");
  EXPECT_EQ(testing::error_message([&] {
              top_k(context, a, b, 1, {.corrections = {1, 2, 3, kNan}});
            }),
            "top_k: corrections, expected finite numbers, found nan at 3");
}

}  // namespace lib_retrieval_test
}  // namespace sotalign
