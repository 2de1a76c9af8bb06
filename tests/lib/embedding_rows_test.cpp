// Rows in memory, in a file and in several files: the same rows.
#include "sotalign/io/embedding_rows.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"
#include "sotalign/io/npy.h"
#include "support/compare.h"
#include "support/error_message.h"
#include "support/temporary_directory.h"
#include "support/tensor_bytes.h"

namespace sotalign {
namespace lib_embedding_rows_test {

using testing::error_message;
using testing::npy_file;
using testing::raw_bytes;
using testing::write_file;

constexpr int64_t kRows = 37, kCols = 5;

class EmbeddingRowsTest : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory;
  const std::vector<float> values = testing::random_normal(kRows * kCols, 3);

  MatrixRows file(const std::string& name, int64_t first, int64_t count) const {
    write_npy(directory / name, ConstMatrixF(values.data() + first * kCols, count, kCols));
    return MatrixRows::open(directory / name);
  }
  std::vector<float> row(int64_t i) const {
    return {values.begin() + i * kCols, values.begin() + (i + 1) * kCols};
  }
  void expect_all(const EmbeddingRows& rows) const {
    ASSERT_EQ(rows.rows(), kRows);
    ASSERT_EQ(rows.cols(), kCols);
    for (const int64_t height : {int64_t{1}, int64_t{4}, int64_t{13}, kRows}) {
      std::vector<float> read, buffer;
      for (int64_t first = 0; first < kRows; first += height) {
        const ConstMatrixF piece = rows.read(first, std::min(height, kRows - first), buffer);
        for (int64_t i = 0; i < piece.rows; ++i)
          read.insert(read.end(), piece.row(i), piece.row(i) + piece.cols);
        rows.release(first, piece.rows);
      }
      EXPECT_EQ(read, values) << height;
    }
    const std::vector<int64_t> index = {36, 0, 12, 13, 12, 14, 1, 35};
    std::vector<float> gathered(index.size() * kCols), expected;
    for (const int64_t i : index) {
      const std::vector<float> one = row(i);
      expected.insert(expected.end(), one.begin(), one.end());
    }
    rows.gather(index.data(), static_cast<int64_t>(index.size()), gathered.data());
    EXPECT_EQ(gathered, expected);
    EXPECT_EQ(checksum(rows), checksum(ConstMatrixF(values.data(), kRows, kCols)));
    rows.require_unchanged();
    std::vector<float> buffer(kCols);
    for (const int64_t outside : {int64_t{-1}, kRows}) {
      EXPECT_THROW(rows.gather(&outside, 1, buffer.data()), InvalidArgument);
      EXPECT_THROW(rows.read(outside, 1, buffer), InvalidArgument);
    }
  }
};

TEST_F(EmbeddingRowsTest, WhereverTheyAre) {
  expect_all(ConstMatrixF(values.data(), kRows, kCols));
  expect_all(HostMatrix(values, kRows, kCols));
  expect_all(EmbeddingRows({file("all.npy", 0, kRows)}));
  expect_all(EmbeddingRows({file("0.npy", 0, 13), file("1.npy", 13, 1), file("2.npy", 14, 23)}));
  std::vector<float> padded;
  for (int64_t i = 0; i < kRows; ++i) {
    const std::vector<float> one = row(i);
    padded.insert(padded.end(), one.begin(), one.end());
    padded.push_back(77);
  }
  expect_all(ConstMatrixF(padded.data(), kRows, kCols, kCols + 1));
}

TEST_F(EmbeddingRowsTest, OtherTypesAndOrders) {
  const std::vector<double> doubles(values.begin(), values.end());
  std::vector<double> by_columns;
  for (size_t j = 0; j < kCols; ++j)
    for (size_t i = 0; i < kRows; ++i) by_columns.push_back(doubles[i * kCols + j]);
  write_file(directory / "c.npy", npy_file("<f8", kRows, kCols, raw_bytes(doubles)));
  write_file(directory / "fortran.npy", npy_file("<f8", kRows, kCols, raw_bytes(by_columns), true));
  const EmbeddingRows c({MatrixRows::open(directory / "c.npy")}),
      fortran({MatrixRows::open(directory / "fortran.npy")});
  expect_all(c);
  expect_all(fortran);
  EXPECT_TRUE(c.stored_by_rows());
  EXPECT_FALSE(fortran.stored_by_rows());
}

TEST_F(EmbeddingRowsTest, NoRowsAndColumnsThatDiffer) {
  const EmbeddingRows none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(checksum(none), checksum(ConstMatrixF()));
  write_npy(directory / "wide.npy", ConstMatrixF(values.data(), 1, kCols + 1));
  EXPECT_EQ(error_message([&] {
              EmbeddingRows({file("a.npy", 0, 3), MatrixRows::open(directory / "wide.npy")});
            }),
            "embedding rows: expected 5 columns in every file, found 6");
}

// A file that changes while its rows are used gives an error, not a signal or other rows.
TEST_F(EmbeddingRowsTest, FilesThatChange) {
  const int64_t last = kRows - 1;
  std::vector<float> out(kCols);
  const auto gather = [&](const EmbeddingRows& rows) {
    return testing::message_of<IoError>([&] { rows.gather(&last, 1, out.data()); });
  };
  const std::string path = directory / "x.npy";
  {
    const EmbeddingRows rows({file("x.npy", 0, kRows)});
    std::filesystem::resize_file(path, 128 + 40);
    EXPECT_EQ(gather(rows), path + ": the file was shortened while it was in use");
  }
  {
    const EmbeddingRows rows({file("x.npy", 0, kRows)});
    write_npy(directory / "new.npy", ConstMatrixF(values.data(), 1, 1));
    std::filesystem::rename(directory / "new.npy", path);  // the file that is open stays what it was
    rows.gather(&last, 1, out.data());
    EXPECT_EQ(out, row(last));
    std::filesystem::remove(path);
    rows.gather(&last, 1, out.data());
  }
  {
    const EmbeddingRows rows({file("x.npy", 0, kRows)});
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    EXPECT_EQ(gather(rows), path + ": the file was changed while it was in use");
  }
}

TEST_F(EmbeddingRowsTest, ValuesThatAreNotFinite) {
  const std::string path = directory / "half.npy";
  std::vector<uint16_t> half(kRows * kCols, 0x3c00);
  half[12 * kCols + 3] = 0x7c00;
  write_file(path, npy_file("<f2", kRows, kCols, raw_bytes(half)));
  const EmbeddingRows rows({MatrixRows::open(path)});
  std::vector<float> out(2 * kCols);
  const std::vector<int64_t> good = {11, 13}, bad = {13, 12};
  rows.gather(good.data(), 2, out.data());
  EXPECT_EQ(out, std::vector<float>(out.size(), 1.0f));
  EXPECT_EQ(testing::message_of<IoError>([&] { rows.gather(bad.data(), 2, out.data()); }),
            path + ": row 12, column 3 is inf, expected finite values");
}

}  // namespace lib_embedding_rows_test
}  // namespace sotalign
