// The signs of vectors, with ties at every distance, and NaN.
#include <gtest/gtest.h>

#include "kernels/orient_vectors.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_orient_vectors_test {

using testing::Strided;
using Doubles = std::vector<double>;

class OrientVectorsTest : public testing::DeviceTest {
 protected:
  struct Result {
    Doubles rows, columns, signs;
  };
  /// `columns` is [column_size, count], or empty for none.
  Result run(const Doubles& rows, int64_t count, const Doubles& columns = {}) {
    const int64_t size = static_cast<int64_t>(rows.size()) / count,
                  column_size = static_cast<int64_t>(columns.size()) / count;
    Strided<double> device_rows(context, rows, count, size, {1, 2}, -777.25),
        device_columns(context, columns, column_size, count, {3, 3}, -777.25), signs(context, 1, count, {1});
    kernels::orient_vectors(context.queue(), {.rows = device_rows.data(),
                                              .rows_stride = device_rows.stride(),
                                              .count = count,
                                              .row_size = size,
                                              .columns = columns.empty() ? nullptr : device_columns.data(),
                                              .columns_stride = device_columns.stride(),
                                              .column_size = column_size,
                                              .signs = signs.data()});
    return {device_rows.download(), device_columns.download(), signs.download()};
  }
  double sign(const Doubles& row) { return run(row, 1).signs[0]; }
};
SOTALIGN_ON_EVERY_DEVICE(OrientVectorsTest);

double expected_sign(const double* row, int64_t size) {
  double largest = 0;
  for (int64_t j = 0; j < size; ++j) largest = std::max(largest, std::abs(row[j]));
  int64_t first = 0;
  while (std::abs(row[first]) < largest * (1 - 1e-6)) ++first;
  return row[first] < 0 ? -1 : 1;
}

TEST_P(OrientVectorsTest, TheFirstOfTheLargestDecides) {
  for (const int64_t size : {1, 2, 31, 32, 33, 127, 257, 700})
    for (const bool ties : {false, true}) {
      const int64_t count = 37, column_size = 11;
      SCOPED_TRACE(::testing::Message() << size << ", ties " << ties);
      std::mt19937_64 engine(static_cast<uint64_t>(size));
      std::normal_distribution<double> normal;
      Doubles rows(count * size), columns(column_size * count);
      for (double& value : rows) {
        value = normal(engine);
        if (ties) value = std::copysign(0.1, value);
      }
      for (double& value : columns) value = normal(engine);
      // Ties start far into the row, so that they do not all belong to the first threads.
      if (ties)
        for (int64_t i = 0; i < count; ++i)
          for (int64_t j = 0; j < std::min(size - 1, i * 19); ++j) rows[i * size + j] *= 0.5;
      Doubles signs;
      for (int64_t i = 0; i < count; ++i) signs.push_back(expected_sign(&rows[i * size], size));
      EXPECT_GT(std::count(signs.begin(), signs.end(), -1.0), 5);
      EXPECT_GT(std::count(signs.begin(), signs.end(), 1.0), 5);

      const Result result = run(rows, count, columns), without = run(rows, count);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < size; ++j) rows[i * size + j] *= signs[i];
        for (int64_t j = 0; j < column_size; ++j) columns[j * count + i] *= signs[i];
      }
      EXPECT_EQ(result.signs, signs);
      EXPECT_EQ(result.rows, rows);
      EXPECT_EQ(result.columns, columns);
      EXPECT_EQ(without.rows, rows);
    }
}

TEST_P(OrientVectorsTest, AMillionthIsATie) {
  EXPECT_EQ(sign({-0.5, 0.5 * (1 + 5e-7)}), -1.0);
  EXPECT_EQ(sign({-0.5, 0.5 * (1 + 2e-6)}), 1.0);
  EXPECT_EQ(sign({0.5, -0.5 * (1 + 5e-7)}), 1.0);
  EXPECT_EQ(sign({0.5, -0.5 * (1 + 2e-6)}), -1.0);
}

TEST_P(OrientVectorsTest, ZerosStayAndNanDoesNotDecide) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sign({0, 0, 0}), 1.0);
  EXPECT_EQ(sign({-0.0, 0}), 1.0);
  EXPECT_EQ(sign({nan, nan}), 1.0);
  EXPECT_EQ(sign({nan, -1, 0.5, nan}), -1.0);
  EXPECT_EQ(sign({nan, 1, -0.5, nan}), 1.0);
  EXPECT_EQ(sign({1e300, -infinity, infinity}), -1.0);
}

}  // namespace kernels_orient_vectors_test
}  // namespace sotalign
