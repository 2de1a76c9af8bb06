// File input and output: mapped files, atomic writes, .npy, 16-bit floats.
#include <gtest/gtest.h>
#include <omp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <thread>

#include "io/decode_float16.h"
#include "io/half.h"
#include "io/mapped_file.h"
#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"
#include "sotalign/io/mapped_file_at.h"
#include "sotalign/io/npy.h"
#include "support/compare.h"
#include "support/npy.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_io_test {

using testing::message_of;
using testing::random_normal;
using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A .npy file around a header dictionary, unpadded unless `padding` says otherwise.
std::string npy(const std::string& dictionary, const std::string& data, int version = 1, size_t padding = 0) {
  const std::string header = dictionary + std::string(padding, ' ') + "\n";
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(version);
  file += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    file += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return file + header + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, bool fortran_order = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") +
         ", 'shape': (" + shape + "), }";
}

std::vector<float> values_of(const HostMatrix& matrix) {
  return {matrix.data(), matrix.data() + matrix.rows() * matrix.cols()};
}

/// The value of a float16, straight from the definition of the format.
double float16_oracle(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

double bfloat16_oracle(uint16_t bits) {
  const int exponent = (bits >> 7) & 255, mantissa = bits & 127;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == 255) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134));
}

TEST(Half, EveryPatternIsExact) {
  std::vector<uint16_t> patterns(65536);
  for (size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<uint16_t>(i);
  std::vector<float> vectorised(patterns.size());
  io::decode_float16(reinterpret_cast<const char*>(patterns.data()), 65536, vectorised.data());
  for (const uint16_t bits : patterns) {
    for (const float value : {io::float16_to_float(bits), vectorised[bits]}) {
      if (std::isnan(float16_oracle(bits)))
        ASSERT_TRUE(std::isnan(value)) << bits;
      else
        ASSERT_EQ(value, float16_oracle(bits)) << bits;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    }
    const float wide = io::bfloat16_to_float(bits);
    if (std::isnan(bfloat16_oracle(bits)))
      ASSERT_TRUE(std::isnan(wide)) << bits;
    else
      ASSERT_EQ(wide, bfloat16_oracle(bits)) << bits;
  }
}

/// Checks every value, the midpoint to its successor, and the floats on both sides of the midpoint.
template <class Oracle, class Encode>
void expect_nearest_even(uint16_t largest, Oracle oracle, Encode encode) {
  for (uint16_t bits = 0; bits <= largest; ++bits) {
    const float low = static_cast<float>(oracle(bits));
    // Past the largest value the spacing continues; the midpoint and everything above become infinite.
    const double high = bits == largest ? 2 * oracle(bits) - oracle(bits - 1) : oracle(bits + 1);
    const float middle = static_cast<float>((low + high) / 2);
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    ASSERT_EQ(encode(low), bits);
    ASSERT_EQ(encode(middle), even) << bits;
    ASSERT_EQ(encode(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(encode(std::nextafter(middle, kInfinity)), bits + 1);
    ASSERT_EQ(encode(-low), bits | 0x8000);
  }
  for (const float huge : {kInfinity, std::numeric_limits<float>::max()})
    ASSERT_EQ(encode(huge), largest + 1);
  for (const uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xffffffffu})
    ASSERT_TRUE(std::isnan(oracle(encode(std::bit_cast<float>(nan)))));
}

TEST(Half, RoundsToNearestEven) {
  expect_nearest_even(0x7bff, float16_oracle, io::float_to_float16);
  expect_nearest_even(0x7f7f, bfloat16_oracle, io::float_to_bfloat16);
}

TEST(MappedFile, SaysWhyItCannotRead) {
  const TemporaryDirectory directory;
  EXPECT_EQ(message_of<IoError>([&] { io::MappedFile file("images.npy"); }), "images.npy: no such file");
  EXPECT_CONTAINS(message_of<IoError>([&] { io::MappedFile file(directory / ""); }), "found a directory");
  EXPECT_CONTAINS(message_of<IoError>([&] { io::MappedFile file("/dev/null"); }), "expected a regular file");
  write_file(directory / "file", "abc");
  EXPECT_CONTAINS(message_of<IoError>([&] { io::MappedFile file(directory / "file/images.npy"); }),
                  "cannot open: Not a directory");
  ASSERT_EQ(mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_CONTAINS(message_of<IoError>([&] { io::MappedFile file(directory / "pipe"); }), "pipe");

  const io::MappedFile file(directory / "file");
  EXPECT_EQ(std::string(file.data(), file.size()), "abc");
}

TEST(MappedFile, NoticesThatTheFileChanged) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.npy";
  const std::vector<float> values = random_normal(2000, 1);
  write_npy(path, ConstMatrixF(values.data(), 100, 20));
  const HostMatrix matrix = read_npy_matrix(path);
  matrix.require_unchanged();
  EXPECT_EQ(mapped_file_at(matrix.data()), path);
  EXPECT_EQ(mapped_file_at(&path), nullptr);

  // A new file under the same name is a different file.
  write_npy(path, ConstMatrixF(values.data(), 50, 40));
  matrix.require_unchanged();

  const HostMatrix second = read_npy_matrix(path);
  const std::string bytes = read_file(path);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than a tick of file timestamps
  write_file(path, bytes);
  EXPECT_CONTAINS(message_of<IoError>([&] { second.require_unchanged(); }),
                  "x.npy: the file was changed while it was in use");
  matrix.require_unchanged();

  const void* address = nullptr;
  {
    const HostMatrix third = read_npy_matrix(path);
    address = third.data();
    EXPECT_EQ(mapped_file_at(address), path);
    std::filesystem::resize_file(path, 100);
    EXPECT_THROW(third.require_unchanged(), IoError);
  }
  EXPECT_EQ(mapped_file_at(address), nullptr);
}

TEST(AtomicFile, ShowsAllOrNothing) {
  const TemporaryDirectory directory;
  const std::string path = directory / "out";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write("new", 3);
    EXPECT_EQ(read_file(path), "old");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(directory.entries(), 1);
  {
    AtomicFile first(path), second(path);
    second.write("second", 6);
    first.write("first", 5);
    second.commit();
    EXPECT_EQ(read_file(path), "second");
    first.commit();
  }
  EXPECT_EQ(read_file(path), "first");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(AtomicFile, FollowsLinks) {
  const TemporaryDirectory directory;
  write_file(directory / "real", "old");
  std::filesystem::create_symlink("real", directory / "link");
  AtomicFile file(directory / "link");
  file.write("new", 3);
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
  EXPECT_EQ(read_file(directory / "real"), "new");
}

TEST(AtomicFile, FailuresNameThePath) {
  const TemporaryDirectory directory;
  EXPECT_CONTAINS(message_of<IoError>([&] { AtomicFile file(directory / "none/out.npy"); }),
                  "none/out.npy: cannot create: No such file or directory");
  EXPECT_CONTAINS(message_of<IoError>([&] { AtomicFile file(directory / ""); }), "it is a directory");
  EXPECT_CONTAINS(message_of<IoError>([&] { AtomicFile file("/dev/null"); }), "expected a regular file");
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory / "out.npy";
  write_file(path, "old");
  // A file size limit stands in for the full disk.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, before.rlim_max};
  std::string message;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  try {
    write_npy(path, std::vector<int64_t>(100'000));
  } catch (const IoError& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_CONTAINS(message, "out.npy: cannot write: File too large");
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(HostMatrix, ChecksItsSize) {
  const HostMatrix matrix({1, 2, 3, 4, 5, 6}, 2, 3);
  EXPECT_EQ(matrix.view().row(1)[0], 4);
  const HostMatrix copy = matrix;
  EXPECT_EQ(copy.data(), matrix.data());
  EXPECT_CONTAINS(message_of<InvalidArgument>([] { HostMatrix({1, 2}, 1, 3); }), "found 2 for [1, 3]");
}

TEST(Npy, FloatRoundTripIsBitwise) {
  const TemporaryDirectory directory;
  for (const int64_t rows : {1, 2, 31, 33, 127})
    for (const int64_t cols : {1, 2, 31, 33, 127}) {
      const std::vector<float> values = random_normal(rows * cols, 7);
      write_npy(directory / "x.npy", ConstMatrixF(values.data(), rows, cols));
      const HostMatrix matrix = read_npy_matrix(directory / "x.npy");
      ASSERT_EQ(matrix.rows(), rows);
      ASSERT_EQ(matrix.cols(), cols);
      ASSERT_EQ(values_of(matrix), values);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(matrix.data()) % 64, 0u);
    }
}

TEST(Npy, WritesWhatNumpyWrites) {
  const TemporaryDirectory directory;
  const std::vector<float> values{1, 2, -1, 3, 4, -1};
  write_npy(directory / "x.npy", ConstMatrixF(values.data(), 2, 2, 3));
  EXPECT_EQ(read_file(directory / "x.npy"),
            npy(dictionary("<f4", "2, 2"), bytes_of<float>({1, 2, 3, 4}), 1, 128 - 10 - 59 - 1));
  const std::vector<double> doubles{1e300, 0.1};
  write_npy(directory / "x.npy", ConstMatrixD(doubles.data(), 2, 1));
  EXPECT_EQ(testing::read_golden(directory / "x.npy").values, doubles);
  EXPECT_CONTAINS(message_of<InvalidArgument>(
                      [&] { write_npy(directory / "x.npy", ConstMatrixF(values.data(), 2, 3, 2)); }),
                  "stride 2");
}

TEST(Npy, ReadsEveryFloatTypeOrderAndVersion) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.npy";
  // The shapes cover every kind of transposition tile; quarters are exact in every type.
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 5}, {5, 1}, {3, 4}, {65, 127}, {200, 130}}) {
    std::vector<float> expected(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>(i % 997) / 4 - 100;
    for (const bool fortran_order : {false, true}) {
      std::vector<float> stored = expected;
      if (fortran_order)
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < cols; ++j) stored[j * rows + i] = expected[i * cols + j];
      std::vector<uint16_t> halves;
      for (const float value : stored) halves.push_back(io::float_to_float16(value));
      const std::vector<double> doubles(stored.begin(), stored.end());
      const std::string shape = std::to_string(rows) + ", " + std::to_string(cols);
      for (const int version : {1, 2, 3})
        for (const size_t padding : {0, 1, 2, 3})  // data at any alignment
          for (const auto& [descr, data] : {std::pair<std::string, std::string>{"<f2", bytes_of(halves)},
                                            {"<f4", bytes_of(stored)},
                                            {"=f4", bytes_of(stored)},
                                            {"|f4", bytes_of(stored)},
                                            {"<f8", bytes_of(doubles)}}) {
            write_file(path, npy(dictionary(descr, shape, fortran_order), data, version, padding));
            ASSERT_EQ(values_of(read_npy_matrix(path)), expected) << descr << " [" << shape << "]";
          }
    }
  }
}

TEST(Npy, InspectsWithoutReading) {
  const TemporaryDirectory directory;
  write_file(directory / "x.npy",
             npy("{\"shape\" : ( 2L,3,),'descr':'<c8' ,'fortran_order':True}", "whatever"));
  const NpyInfo info = inspect_npy(directory / "x.npy");
  EXPECT_EQ(info.type, ElementType::kOther);
  EXPECT_EQ(info.descr, "<c8");
  EXPECT_EQ(info.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(info.fortran_order);
  write_file(directory / "x.npy", npy(dictionary("<f2", ""), "ab"));
  EXPECT_TRUE(inspect_npy(directory / "x.npy").shape.empty());
}

TEST(Npy, ResultsDoNotDependOnThreads) {
  const TemporaryDirectory directory;
  const std::vector<float> values = random_normal(300 * 301, 3);
  write_file(directory / "x.npy", npy(dictionary("<f4", "301, 300", true), bytes_of(values)));
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<float> one = values_of(read_npy_matrix(directory / "x.npy"));
  omp_set_num_threads(3);
  EXPECT_EQ(values_of(read_npy_matrix(directory / "x.npy")), one);
  omp_set_num_threads(threads);
}

TEST(Npy, NamesTheFirstValueThatIsNotFinite) {
  const TemporaryDirectory directory;
  const std::string path = directory / "images.npy";
  const int64_t rows = 300, cols = 200;
  for (const bool fortran_order : {false, true}) {
    const auto at = [&](int64_t i, int64_t j) { return fortran_order ? j * rows + i : i * cols + j; };
    const std::string shape = "300, 200";
    std::vector<float> values(rows * cols, 1.0f);
    values[at(250, 0)] = -kInfinity;
    values[at(17, 199)] = kInfinity;
    values[at(17, 3)] = std::nanf("");
    write_file(path, npy(dictionary("<f4", shape, fortran_order), bytes_of(values)));
    EXPECT_CONTAINS(message_of<IoError>([&] { read_npy_matrix(path); }),
                    "images.npy: row 17, column 3 is nan, expected finite values");

    std::vector<uint16_t> halves(rows * cols);
    halves[at(299, 199)] = 0xfc00;
    write_file(path, npy(dictionary("<f2", shape, fortran_order), bytes_of(halves)));
    EXPECT_CONTAINS(message_of<IoError>([&] { read_npy_matrix(path); }), "row 299, column 199 is -inf");

    std::vector<double> doubles(rows * cols);
    doubles[at(2, 1)] = -1e300;
    write_file(path, npy(dictionary("<f8", shape, fortran_order), bytes_of(doubles)));
    EXPECT_CONTAINS(message_of<IoError>([&] { read_npy_matrix(path); }),
                    "row 2, column 1 is -1e+300, expected values within the range of float32");
  }
}

TEST(Npy, RefusesWhatIsNotAFloatMatrix) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.npy";
  const auto message = [&](const std::string& content) {
    write_file(path, content);
    const std::string text = message_of<IoError>([&] { read_npy_matrix(path); });
    EXPECT_CONTAINS(text, path);
    return text;
  };
  const std::string four(4, 'x'), good = dictionary("<f4", "1, 1");
  EXPECT_CONTAINS(message(npy(dictionary("<c8", "1, 1"), four)),
                  "expected float16, float32 or float64, found <c8");
  EXPECT_CONTAINS(message(npy(dictionary("<i4", "1, 1"), four)), "found <i4");
  EXPECT_CONTAINS(message(npy(dictionary("|O", "1, 1"), four)), "found |O");
  EXPECT_CONTAINS(message(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1)}", four)),
                  "found [('a', '<f4')]");
  EXPECT_CONTAINS(message(npy(dictionary(">f4", "1, 1"), four)), "big-endian >f4");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", "1,"), four)), "found 1 dimensions [1]");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", "1, 1, 1"), four)), "found 3 dimensions [1, 1, 1]");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", ""), four)), "found 0 dimensions []");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", "0, 7"), "")),
                  "at least one row and one column, found [0, 7]");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", "7, 0"), "")), "found [7, 0]");
  EXPECT_CONTAINS(message(""), "expected a .npy file");
  EXPECT_CONTAINS(message("\x93NUMPX\x01"), "expected a .npy file");
  EXPECT_CONTAINS(message("\x93NUMPY\x01"), "truncated");
  EXPECT_CONTAINS(message(npy(good, four, 4)), "found 4.0");
  EXPECT_CONTAINS(message(npy(good, "xxx")),
                  "truncated: expected 4 bytes of data for float32 [1, 1], found 3");
  EXPECT_CONTAINS(message(npy(good, "xxxxx")), "trailing bytes: expected 4 bytes");
  EXPECT_CONTAINS(message(npy(good, four).substr(0, 40)), "truncated: expected a header of");
  EXPECT_CONTAINS(message(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13)),
                  "header of 4294967295 bytes");
}

TEST(Npy, RefusesAbsurdHeaders) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.npy";
  const auto message = [&](const std::string& header) {
    write_file(path, npy(header, "xxxx"));
    return message_of<IoError>([&] { read_npy_matrix(path); });
  };
  EXPECT_CONTAINS(message(dictionary("<f4", "4611686018427387904, 4")), "overflows");
  EXPECT_CONTAINS(message(dictionary("<f4", "3000000000, 3000000000")), "overflows");
  EXPECT_CONTAINS(message(dictionary("<f4", "1000000000, 1000000000")), "expected 4000000000000000000 bytes");
  EXPECT_CONTAINS(message(dictionary("<f4", "99999999999999999999, 1")), "expected a size from 0");
  EXPECT_CONTAINS(message(dictionary("<f4", "-1, -1")), "expected a size from 0");
  EXPECT_CONTAINS(message(dictionary("<f4", "1 1")), "expected ',' or ')'");
  std::string shape;
  for (int i = 0; i < 10'000; ++i) shape += "1, ";
  EXPECT_CONTAINS(message(dictionary("<f4", shape)), "at most 64 dimensions");
  EXPECT_CONTAINS(message("{}"), "expected the keys");
  EXPECT_CONTAINS(message("{'descr': '<f4', 'fortran_order': False}"), "expected the keys");
  EXPECT_CONTAINS(message("{'descr': '<f4', 'descr': '<f4'}"), "found 'descr'");
  EXPECT_CONTAINS(message("{'a\nb': 1}"), "found 'a?b'");
  EXPECT_CONTAINS(message("{'descr': '<f4"), "closing quote");
  EXPECT_CONTAINS(message("{'descr': [[['a'}"), "expected ']'");
  EXPECT_CONTAINS(message("{'fortran_order': 0}"), "True or False");
  EXPECT_CONTAINS(message(dictionary("<f4", "1, 1") + "}"), "nothing after");
  EXPECT_CONTAINS(message(std::string("\0\0", 2)), "expected '{'");
  EXPECT_CONTAINS(message(""), "expected '{'");
}

TEST(Npy, DamagedFilesThrowOrSucceed) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.npy";
  const std::string good = npy(dictionary("<f4", "5, 3"), bytes_of(random_normal(15, 1)), 1, 20);
  std::mt19937 random(20250101);
  int succeeded = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::string bytes = good;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    write_file(path, bytes);
    try {
      read_npy_matrix(path);
      ++succeeded;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(succeeded, 0);
  EXPECT_LT(succeeded, 2000);
}

TEST(Npy, IntegersOfEveryType) {
  const TemporaryDirectory directory;
  const std::string path = directory / "labels.npy";
  const auto expect_read = [&](auto zero, const std::string& descr) {
    using T = decltype(zero);
    const std::vector<T> values{0, 1, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
    write_file(path, npy(dictionary(descr, "4,"), bytes_of(values)));
    EXPECT_EQ(read_npy_integers(path), std::vector<int64_t>(values.begin(), values.end())) << descr;
  };
  expect_read(int8_t{}, "|i1");
  expect_read(int16_t{}, "<i2");
  expect_read(int32_t{}, "<i4");
  expect_read(int64_t{}, "<i8");
  expect_read(uint8_t{}, "|u1");
  expect_read(uint16_t{}, "<u2");
  expect_read(uint32_t{}, "<u4");
  const std::vector<int64_t> values{5, -7, std::numeric_limits<int64_t>::max()};
  write_npy(path, values);
  EXPECT_EQ(read_npy_integers(path), values);

  const auto message = [&](const std::string& content) {
    write_file(path, content);
    return message_of<IoError>([&] { read_npy_integers(path); });
  };
  EXPECT_CONTAINS(message(npy(dictionary("<u8", "2,"), bytes_of<uint64_t>({1, ~uint64_t{0}}))),
                  "entry 1 is 18446744073709551615");
  EXPECT_CONTAINS(message(npy(dictionary("<f4", "1,"), "xxxx")), "expected an integer type, found <f4");
  EXPECT_CONTAINS(message(npy(dictionary("<i4", "1, 1"), "xxxx")), "expected one dimension");
  EXPECT_CONTAINS(message(npy(dictionary("<i4", "0,"), "")), "found [0]");
}

}  // namespace lib_io_test
}  // namespace sotalign
