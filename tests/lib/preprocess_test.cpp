// Column means, centring and unit length against loops.
#include "sotalign/nn/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "kernels/column_mean.h"
#include "kernels/queue.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/column_mean.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign {
namespace lib_preprocess_test {

using testing::random_normal;

std::vector<double> mean_of(const std::vector<float>& x, int64_t cols) {
  const int64_t rows = static_cast<int64_t>(x.size()) / cols;
  std::vector<double> mean(cols);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) mean[j] += static_cast<double>(x[i * cols + j]);
  for (double& m : mean) m /= static_cast<double>(rows);
  return mean;
}

class PreprocessTest : public testing::DeviceTest {
 protected:
  std::vector<float> apply(const Preprocessing& preprocessing, const std::vector<float>& x) {
    const int64_t cols = static_cast<int64_t>(preprocessing.mean.size());
    Matrix<float> m(context, x.data(), static_cast<int64_t>(x.size()) / cols, cols);
    preprocess(context, preprocessing, m, m);
    return m.download();
  }
};
SOTALIGN_ON_EVERY_DEVICE(PreprocessTest);

TEST_P(PreprocessTest, AgreesWithLoops) {
  for (const auto& [rows, cols] :
       {std::pair{1, 1}, {1, 5}, {2, 1}, {31, 33}, {64, 32}, {65, 127}, {1000, 3}, {700, 257}}) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
    std::vector<float> x = random_normal(int64_t{rows} * cols, 7);
    for (float& value : x) value += 3;
    const Matrix<float> m(context, x.data(), rows, cols);
    const Preprocessing fitted = fit_preprocessing(context, {m});
    const std::vector<double> mean = mean_of(x, cols);
    EXPECT_WITHIN(testing::max_difference(column_mean(context, {m}), mean), 1e-13);

    std::vector<double> expected(x.size());
    for (int64_t i = 0; i < rows; ++i) {
      double norm = 0;
      for (int64_t j = 0; j < cols; ++j) {
        // Uses the fitted mean: relative to the exact one, a row near the mean could point anywhere.
        expected[i * cols + j] = double(x[i * cols + j]) - double(fitted.mean[j]);
        norm += expected[i * cols + j] * expected[i * cols + j];
      }
      for (int64_t j = 0; j < cols && norm > 0; ++j) expected[i * cols + j] /= std::sqrt(norm);
    }
    Matrix<float> out(context, rows, cols);
    preprocess(context, fitted, m, out);
    EXPECT_WITHIN(testing::max_difference(out.download(), expected), 1e-6);
    EXPECT_EQ(apply(fitted, x), out.download());
  }
}

TEST_P(PreprocessTest, SeveralMatricesWeighByTheirRows) {
  const int64_t cols = 33;
  const std::vector<float> x = random_normal(100 * cols, 8);
  const Matrix<float> whole(context, x.data(), 100, cols), first(context, x.data(), 13, cols),
      second(context, x.data() + 13 * cols, 87, cols), none(context, 0, cols);
  EXPECT_WITHIN(testing::max_difference(column_mean(context, {first, none, second}), mean_of(x, cols)),
                1e-15);
  EXPECT_WITHIN(testing::max_difference(column_mean(context, {none, second, first, none}), mean_of(x, cols)),
                1e-15);
  // A strided view: columns 5 to 10 of the whole matrix.
  const std::vector<double> all = mean_of(x, cols);
  const ConstMatrixF narrow(whole.data() + 5, 100, 5, cols);
  EXPECT_WITHIN(
      testing::max_difference(column_mean(context, {narrow}), std::vector<double>(&all[5], &all[10])), 1e-15);
}

TEST_P(PreprocessTest, MeansOfPiecesHaveTheSameBits) {
  const int64_t cols = 33;
  for (const int64_t rows : {1, 63, 65, 1013, 20'000}) {
    SCOPED_TRACE(rows);
    const std::vector<float> x = random_normal((rows + 13) * cols, 8);
    const Matrix<float> pairs(context, x.data(), 13, cols), all(context, x.data() + 13 * cols, rows, cols);
    ColumnMeanSum sum(context, cols);
    sum.add(pairs);
    const int64_t piece = ColumnMeanSum::piece_rows(rows);
    for (int64_t first = 0; first < rows; first += piece)
      sum.add_piece(all.view().row_range(first, std::min(piece, rows - first)), first / piece, rows);
    EXPECT_EQ(sum.mean(), column_mean(context, {pairs, all}));
    EXPECT_THROW(sum.add_piece(all.view().row_range(0, 1), rows, rows), InvalidArgument);
  }
}

// More ranges than sums: ranges 64, 65, ... are added to the sums of ranges 0, 1, ...
TEST_P(PreprocessTest, MeansOfManyRanges) {
  if (testing::is_emulated(GetParam())) GTEST_SKIP() << "a million rows take the emulator too long";
  const int64_t rows = kernels::kColumnMeanRange * (kernels::kColumnMeanSums + 1) + 5;
  std::vector<float> x(static_cast<size_t>(rows));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1000);
  const Matrix<float> m(context, x.data(), rows, 1);
  const std::vector<double> mean = column_mean(context, {m});
  EXPECT_WITHIN(testing::max_difference(mean, mean_of(x, 1)), 1e-9);
  ColumnMeanSum sum(context, 1);
  const int64_t piece = ColumnMeanSum::piece_rows(rows);
  EXPECT_EQ(piece, kernels::kColumnMeanRange);
  for (int64_t first = 0; first < rows; first += piece)
    sum.add_piece(m.view().row_range(first, std::min(piece, rows - first)), first / piece, rows);
  EXPECT_EQ(sum.mean(), mean);
}

// The same with ranges of two rows, in one call and in two.
TEST_P(PreprocessTest, RangesShareTheSums) {
  const int64_t rows = 301, cols = 33, first_rows = 150;
  const std::vector<float> x = random_normal(rows * cols, 11);
  const Matrix<float> m(context, x.data(), rows, cols);
  Buffer<double> sums(context, kernels::kColumnMeanSums * cols), mean(context, cols);
  const auto part = [&](int64_t first, int64_t count) {
    return kernels::ColumnMean::Part{
        .x = m.view().row(first), .stride = cols, .rows = count, .range_rows = 2, .first_range = first / 2};
  };
  kernels::ColumnMean::Part whole = part(0, rows);
  kernels::column_mean(
      context.queue(),
      {.parts = &whole, .part_count = 1, .cols = cols, .sums = sums.data(), .mean = mean.data()});
  const std::vector<double> once = mean.download();
  EXPECT_WITHIN(testing::max_difference(once, mean_of(x, cols)), 1e-14);
  for (kernels::ColumnMean::Part half : {part(0, first_rows), part(first_rows, rows - first_rows)}) {
    const bool last = half.first_range > 0;
    kernels::column_mean(context.queue(), {.parts = &half,
                                           .part_count = 1,
                                           .cols = cols,
                                           .sums = sums.data(),
                                           .earlier_rows = last ? first_rows : 0,
                                           .mean = last ? mean.data() : nullptr});
  }
  EXPECT_EQ(mean.download(), once);
}

TEST_P(PreprocessTest, LargeOffsetsDoNotCostDigits) {
  const int64_t rows = 100'000;
  std::vector<float> x(rows);
  for (int64_t i = 0; i < rows; ++i) x[i] = 16384.0f + static_cast<float>(i % 2);
  const Matrix<float> m(context, x.data(), rows, 1);
  EXPECT_EQ(column_mean(context, {m})[0], 16384.5);
}

TEST_P(PreprocessTest, EqualRowsBecomeZero) {
  const std::vector<float> row = random_normal(17, 9, 1e3f);
  std::vector<float> x;
  for (int i = 0; i < 37; ++i) x.insert(x.end(), row.begin(), row.end());
  const Matrix<float> m(context, x.data(), 37, 17);
  EXPECT_EQ(apply(fit_preprocessing(context, {m}), x), std::vector<float>(x.size(), 0.0f));
}

TEST_P(PreprocessTest, MeanDoesNotDependOnThreads) {
  const std::vector<float> x = random_normal(1013 * 33, 10);
  std::vector<std::vector<double>> means;
  for (const int threads : {1, 2, 5}) {
    Context other(GetParam(), threads);
    const Matrix<float> m(other, x.data(), 1013, 33);
    means.push_back(column_mean(other, {m}));
  }
  EXPECT_EQ(means[0], means[1]);
  EXPECT_EQ(means[0], means[2]);
}

TEST_P(PreprocessTest, ErrorsSayWhatIsWrong) {
  const auto message = [](auto function) -> std::string {
    try {
      function();
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no exception";
  };
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  Matrix<float> m(context, 3, 4), other(context, 3, 5);
  has(message([&] { fit_preprocessing(context, {}); }), "at least one row");
  has(message([&] { fit_preprocessing(context, {Matrix<float>(context, 0, 4)}); }), "at least one row");
  has(message([&] { fit_preprocessing(context, {m, other}); }), "4 columns in every matrix, found 5");
  has(message([&] { preprocess(context, {{1, 2, 3}}, m, m); }), "the mean has 3 columns, x is [3, 4]");
  has(message([&] { preprocess(context, {{1, 2, 3, 4}}, m, other); }), "y is [3, 5]");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> x = {0, 1, 2, bad};
    has(message([&] { fit_preprocessing(context, {Matrix<float>(context, x.data(), 2, 2)}); }), "column 1");
  }
}

}  // namespace lib_preprocess_test
}  // namespace sotalign
