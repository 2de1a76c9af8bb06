// Matrices read and written some rows at a time.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "sotalign/core/error.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/io/matrix_rows.h"
#include "sotalign/io/matrix_writer.h"
#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "support/compare.h"
#include "support/temporary_directory.h"
#include "support/tensor_bytes.h"

namespace sotalign {
namespace lib_matrix_rows_test {

using testing::message_of;
using testing::npy_file;
using testing::npy_parts;
using testing::raw_bytes;
using testing::tensor_parts;
using testing::values_in;
using testing::write_file;

constexpr int64_t kRows = 131, kCols = 7;

class MatrixRowsTest : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory;
  const std::vector<float> values = testing::random_normal(kRows * kCols, 3);

  /// Reads with several heights and expects the values `expected`, and the bytes of each row.
  void expect_rows(const MatrixRows& file, const std::vector<float>& expected,
                   const std::string& stored_rows) const {
    ASSERT_EQ(file.rows(), kRows);
    ASSERT_EQ(file.cols(), kCols);
    for (const int64_t height : {int64_t{1}, int64_t{64}, int64_t{65}, kRows}) {
      std::vector<float> read, buffer;
      for (int64_t first = 0; first < kRows; first += height) {
        const ConstMatrixF rows = file.read(first, std::min(height, kRows - first), buffer);
        for (int64_t i = 0; i < rows.rows; ++i) read.insert(read.end(), rows.row(i), rows.row(i) + kCols);
        file.release(first, rows.rows);
      }
      EXPECT_EQ(read, expected) << height;
    }
    std::string bytes;
    for (int64_t row = 0; row < kRows; ++row) {
      std::string one(static_cast<size_t>(file.row_bytes()), '?');
      file.read_stored(row, one.data());
      bytes += one;
    }
    EXPECT_TRUE(bytes == stored_rows);
    file.require_unchanged();
  }
};

TEST_F(MatrixRowsTest, EveryTypeAndOrder) {
  std::vector<double> doubles(values.begin(), values.end()), by_columns;
  std::vector<float> float_columns;
  for (size_t j = 0; j < kCols; ++j)
    for (size_t i = 0; i < kRows; ++i) {
      by_columns.push_back(doubles[i * kCols + j]);
      float_columns.push_back(values[i * kCols + j]);
    }
  const std::string path = directory / "x.npy";
  write_file(path, npy_file("<f4", kRows, kCols, raw_bytes(values)));
  expect_rows(MatrixRows::open(path), values, raw_bytes(values));
  write_npy(path, ConstMatrixF(values.data(), kRows, kCols));  // aligned
  expect_rows(MatrixRows::open(path), values, raw_bytes(values));
  EXPECT_EQ(MatrixRows::open(path).type(), ElementType::kFloat32);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  expect_rows(MatrixRows::open(descriptor, "a pipe"), values, raw_bytes(values));
  close(descriptor);
  write_file(path, npy_file("<f8", kRows, kCols, raw_bytes(doubles)));
  expect_rows(MatrixRows::open(path), values, raw_bytes(doubles));
  write_file(path, npy_file("<f8", kRows, kCols, raw_bytes(by_columns), true));
  expect_rows(MatrixRows::open(path), values, raw_bytes(doubles));
  write_file(path, npy_file("<f4", kRows, kCols, raw_bytes(float_columns), true));
  expect_rows(MatrixRows::open(path), values, raw_bytes(values));
  std::vector<uint16_t> halves;
  std::vector<float> exact;
  for (uint16_t i = 0; i < kRows * kCols; ++i) {
    halves.push_back(static_cast<uint16_t>(31 * i % 0x7c00 | (i & 1) << 15));
    exact.push_back(static_cast<float>(testing::float16_value(halves.back())));
  }
  write_file(path, npy_file("<f2", kRows, kCols, raw_bytes(halves)));
  expect_rows(MatrixRows::open(path), exact, raw_bytes(halves));
  SafetensorsWriter writer;
  writer.add("small", {2, 2}, values.data());
  writer.add("x", {kRows, kCols}, values.data());
  writer.write(directory / "x.safetensors");
  expect_rows(MatrixRows::open(directory / "x.safetensors:x"), values, raw_bytes(values));
  EXPECT_CONTAINS(message_of<IoError>([&] { MatrixRows::open(directory / "x.safetensors"); }),
                  "expected one two-dimensional tensor, found 2");
}

TEST_F(MatrixRowsTest, ValuesAreCheckedWhenTheyAreRead) {
  for (const bool fortran : {false, true})
    for (const bool as_double : {false, true}) {
      SCOPED_TRACE(fortran);
      std::vector<double> bad(values.begin(), values.end());
      const size_t at = fortran ? 5 * kRows + 100 : 100 * kCols + 5;
      bad[at] = as_double ? 1e300 : HUGE_VAL;
      const std::vector<float> floats(bad.begin(), bad.end());
      const std::string path = directory / "x.npy";
      write_file(path, npy_file(as_double ? "<f8" : "<f4", kRows, kCols,
                                as_double ? raw_bytes(bad) : raw_bytes(floats), fortran));
      const MatrixRows file = MatrixRows::open(path);
      std::vector<float> buffer;
      file.read(0, 100, buffer);
      file.read(101, 30, buffer);
      const std::string message = message_of<IoError>([&] { file.read(96, 20, buffer); });
      EXPECT_CONTAINS(message, path + ": row 100, column 5 is ");
      EXPECT_EQ(message, message_of<IoError>([&] { read_matrix(path); }));
    }
}

TEST_F(MatrixRowsTest, RefusesRowsOutOfRangeAndFilesThatChange) {
  const std::string path = directory / "x.npy";
  write_file(path, npy_file("<f4", kRows, kCols, raw_bytes(values)));
  const MatrixRows file = MatrixRows::open(path);
  std::vector<float> buffer;
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>(-1, 1), {0, kRows + 1}, {kRows, 1}, {1, -1}})
    EXPECT_THROW(file.read(first, count, buffer), InvalidArgument) << first << " " << count;
  EXPECT_EQ(file.read(kRows, 0, buffer).rows, 0);
  EXPECT_THROW(MatrixRows::open(directory / "none.npy"), IoError);
  write_file(directory / "i.npy", npy_file("<i4", 1, 2, std::string(8, '\0')));
  EXPECT_CONTAINS(message_of<IoError>([&] { MatrixRows::open(directory / "i.npy"); }), "expected float16");
  write_file(directory / "e.npy", npy_file("<f4", 0, 2, ""));
  EXPECT_CONTAINS(message_of<IoError>([&] { MatrixRows::open(directory / "e.npy"); }), "at least one row");
  write_file(path, npy_file("<f4", kRows, kCols, raw_bytes(values)) + "more");
  EXPECT_CONTAINS(message_of<IoError>([&] { file.require_unchanged(); }), "changed while it was in use");
}

TEST_F(MatrixRowsTest, WritesBothFormatsAndTypes) {
  const auto written = [&](const MatrixWriter::Options& options) {
    std::string bytes;
    MatrixWriter writer(
        options, [&](const void* data, size_t size) { bytes.append(static_cast<const char*>(data), size); });
    const ConstMatrixF all(values.data(), kRows, kCols);
    writer.add(all.row_range(0, 100));
    EXPECT_THROW(writer.finish(), InvalidArgument);
    EXPECT_THROW(writer.add(all), InvalidArgument);
    // A view with padding.
    std::vector<float> padded(31 * 9, NAN);
    for (int64_t i = 0; i < 31; ++i)
      std::copy_n(all.row(100 + i), kCols, &padded[static_cast<size_t>(i * 9)]);
    writer.add(ConstMatrixF(padded.data(), 31, kCols, 9));
    writer.finish();
    return bytes;
  };
  using Options = MatrixWriter::Options;
  const auto npy = npy_parts(written({.rows = kRows, .cols = kCols}));
  EXPECT_EQ(npy.type, "<f4");
  EXPECT_EQ(npy.shape, (std::vector<int64_t>{kRows, kCols}));
  EXPECT_EQ(values_in<float>(npy.data), values);
  const std::string file = written(
      Options{.format = MatrixFormat::kSafetensors, .rows = kRows, .cols = kCols, .name = "caf\u00e9"});
  EXPECT_EQ(values_in<float>(tensor_parts(file, "caf\u00e9").data), values);
  write_file(directory / "x.safetensors", file);
  EXPECT_EQ(SafetensorsFile::open(directory / "x.safetensors").read_float("caf\u00e9"), values);
  const auto half = npy_parts(written({.type = ElementType::kFloat16, .rows = kRows, .cols = kCols}));
  EXPECT_EQ(half.type, "<f2");
  const std::vector<uint16_t> bits = values_in<uint16_t>(half.data);
  for (size_t i = 0; i < bits.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    EXPECT_WITHIN(std::abs(testing::float16_value(bits[i]) - value),
                  std::max(std::abs(value) * 0x1p-11, 0x1p-25));
  }
  EXPECT_EQ(matrix_format("a.npy"), MatrixFormat::kNpy);
  EXPECT_EQ(matrix_format("a.safetensors"), MatrixFormat::kSafetensors);
  EXPECT_EQ(matrix_format("-"), MatrixFormat::kNpy);
}

TEST_F(MatrixRowsTest, WriterRefuses) {
  const auto sink = [](const void*, size_t) {};
  using Options = MatrixWriter::Options;
  EXPECT_THROW(MatrixWriter(Options{.type = ElementType::kInt64, .rows = 1, .cols = 1}, sink),
               InvalidArgument);
  EXPECT_THROW(MatrixWriter(Options{.rows = -1, .cols = 1}, sink), InvalidArgument);
  EXPECT_THROW(MatrixWriter(Options{.rows = int64_t{1} << 62, .cols = 4}, sink), InvalidArgument);
  EXPECT_THROW(
      MatrixWriter(Options{.format = MatrixFormat::kSafetensors, .rows = 1, .cols = 1, .name = "\xff"}, sink),
      InvalidArgument);
  EXPECT_THROW(
      MatrixWriter(
          Options{.format = MatrixFormat::kSafetensors, .rows = 1, .cols = 1, .name = "__metadata__"}, sink),
      InvalidArgument);
  MatrixWriter half(Options{.type = ElementType::kFloat16, .rows = 2, .cols = 2}, sink);
  const float large[] = {1, 2, 3, 65520}, nan[] = {1, NAN, 1, 1};
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { half.add({large, 2, 2}); }), "row 1, column 1 is 65520");
  EXPECT_THROW(half.add({nan, 2, 2}), InvalidArgument);
}

TEST(NpyHeader, IsThatOfTheWriters) {
  const testing::TemporaryDirectory directory;
  const std::vector<int64_t> integers = {3, 4, 5};
  write_npy(directory / "i.npy", integers);
  EXPECT_TRUE(npy_header(ElementType::kInt64, {3}) + raw_bytes(integers) ==
              testing::read_file(directory / "i.npy"));
  EXPECT_EQ(npy_parts(npy_header(ElementType::kUint8, {2, 3, 4})).type, "|u1");
  EXPECT_EQ(npy_header(ElementType::kFloat64, {2, 3}).size() % 64, 0u);
  EXPECT_THROW(npy_header(ElementType::kBfloat16, {1}), InvalidArgument);
  EXPECT_THROW(npy_header(ElementType::kOther, {1}), InvalidArgument);
}

}  // namespace lib_matrix_rows_test
}  // namespace sotalign
