// Products in double precision, eigh, svd and inverse_cholesky, against their defining identities.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/eigh.h"
#include "kernels/gemm.h"
#include "kernels/solve_triangular.h"
#include "kernels/svd.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/eigh.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/inverse_cholesky.h"
#include "sotalign/linalg/svd.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_linalg_test {

using testing::random_normal;
using Doubles = std::vector<double>;

Doubles random_doubles(int64_t count, uint64_t seed) {
  const std::vector<float> values = random_normal(count, seed);
  return {values.begin(), values.end()};
}

/// a [m, k] times b [k, n]
Doubles product(const Doubles& a, const Doubles& b, int64_t m, int64_t k, int64_t n) {
  Doubles c(m * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

Doubles transposed(const Doubles& a, int64_t rows, int64_t cols) {
  Doubles t(a.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) t[j * rows + i] = a[i * cols + j];
  return t;
}

/// max |rows rows' - I|
double distance_from_orthonormal(const Doubles& rows, int64_t count, int64_t size) {
  Doubles gram = product(rows, transposed(rows, count, size), count, size, count);
  for (int64_t i = 0; i < count; ++i) gram[i * count + i] -= 1;
  return testing::max_difference(gram, Doubles(gram.size()));
}

double largest_magnitude(const Doubles& a) { return testing::max_difference(a, Doubles(a.size())); }

void expect_oriented(const Doubles& rows, int64_t count, int64_t size) {
  for (int64_t i = 0; i < count; ++i) {
    double low = 0, high = 0;
    for (int64_t j = 0; j < size; ++j) {
      low = std::min(low, rows[i * size + j]);
      high = std::max(high, rows[i * size + j]);
    }
    EXPECT_WITHIN(-low, high * (1 + 2e-6)) << "row " << i;
  }
}

template <class Exception, class Function>
void expect_message(Function function, const std::string& part) {
  try {
    function();
    ADD_FAILURE() << "no exception, expected one with: " << part;
  } catch (const Exception& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

class LinalgTest : public testing::DeviceTest {
 protected:
  Matrix<double> upload(const Doubles& values, int64_t rows, int64_t cols) {
    return Matrix<double>(context, values.data(), rows, cols);
  }

  void check_eigh(const Doubles& a, int64_t n) {
    const SymmetricEigen result = eigh(context, upload(a, n, n));
    const Doubles v = result.vectors.download(), w = result.values.download();
    const double bound = 1e-14 * (static_cast<double>(n) + 10), size = largest_magnitude(a);
    EXPECT_WITHIN(distance_from_orthonormal(v, n, n), bound);
    Doubles scaled = v;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) scaled[i * n + j] *= w[i];
    EXPECT_WITHIN(testing::max_difference(product(v, a, n, n, n), scaled), bound * size);
    EXPECT_TRUE(std::is_sorted(w.begin(), w.end()));
    expect_oriented(v, n, n);
  }

  void check_svd(const Doubles& a, int64_t m, int64_t n) {
    const ThinSvd result = svd(context, upload(a, m, n));
    const int64_t k = std::min(m, n);
    const Doubles u = result.u.download(), s = result.values.download(), vt = result.vt.download();
    const double bound = 1e-14 * (static_cast<double>(m + n) + 10);
    EXPECT_WITHIN(distance_from_orthonormal(transposed(u, m, k), k, m), bound);
    EXPECT_WITHIN(distance_from_orthonormal(vt, k, n), bound);
    Doubles scaled = vt;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j) scaled[i * n + j] *= s[i];
    EXPECT_WITHIN(testing::max_difference(product(u, scaled, m, k, n), a), bound * largest_magnitude(a));
    EXPECT_TRUE(std::is_sorted(s.rbegin(), s.rend()));
    EXPECT_GE(s.back(), 0.0);
    expect_oriented(vt, k, n);
  }
};
SOTALIGN_ON_EVERY_DEVICE(LinalgTest);

TEST_P(LinalgTest, DoubleGemmAgreesWithLoops) {
  const int64_t m = 33, n = 17, k = 31;
  const Doubles a = random_doubles(m * k, 1), b = random_doubles(k * n, 2), c = random_doubles(m * n, 3);
  Doubles expected = product(a, b, m, k, n);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = 2 * expected[i] + 0.5 * c[i];
  for (const Op op_a : {Op::kNone, Op::kTranspose})
    for (const Op op_b : {Op::kNone, Op::kTranspose}) {
      const bool ta = op_a == Op::kTranspose, tb = op_b == Op::kTranspose;
      const Matrix<double> da = ta ? upload(transposed(a, m, k), k, m) : upload(a, m, k);
      const Matrix<double> db = tb ? upload(transposed(b, k, n), n, k) : upload(b, k, n);
      Matrix<double> dc = upload(c, m, n);
      gemm(context, op_a, op_b, 2.0, da, db, 0.5, dc);
      EXPECT_WITHIN(testing::relative_l1(dc.download(), expected), 1e-14);
    }
}

constexpr double kPadding = -77;

/// x [rows, cols] in rows of cols + padding entries.
Doubles padded(const Doubles& x, int64_t rows, int64_t cols, int64_t padding) {
  Doubles result(rows * (cols + padding), kPadding);
  for (int64_t i = 0; i < rows; ++i)
    std::copy_n(x.begin() + i * cols, cols, result.begin() + i * (cols + padding));
  return result;
}

/// The inverse; expects the padding to be unchanged.
Doubles unpadded(const Doubles& x, int64_t rows, int64_t cols, int64_t padding) {
  Doubles result;
  for (int64_t i = 0; i < rows; ++i) {
    const auto row = x.begin() + i * (cols + padding);
    result.insert(result.end(), row, row + cols);
    EXPECT_EQ(Doubles(row + cols, row + cols + padding), Doubles(padding, kPadding)) << "row " << i;
  }
  return result;
}

template <class T>
Buffer<T> on_device(Context& context, const Doubles& values) {
  return Buffer<T>(context, std::vector<T>(values.begin(), values.end()));
}
template <class T>
Doubles on_host(const Buffer<T>& buffer) {
  const std::vector<T> values = buffer.download();
  return {values.begin(), values.end()};
}

/// x with each number rounded to `bits` significant bits.
Doubles rounded(Doubles x, int bits) {
  for (double& value : x) {
    int exponent = 0;
    const double fraction = std::frexp(value, &exponent);
    value = std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
  }
  return x;
}

/// Checks C [m, n] for all combinations of transpositions, with strides larger than the width. The factors
/// are expected to be rounded to `bits` significant bits.
template <class T>
void check_gemm(Context& context, const kernels::Queue& queue, int64_t m, int64_t n, int64_t k, T alpha,
                T beta, kernels::GemmMath math, int bits, double tolerance) {
  const auto float_doubles = [](int64_t count, unsigned seed) {
    Doubles values = random_doubles(count, seed);
    for (double& x : values) x = static_cast<double>(static_cast<T>(x));
    return values;
  };
  const Doubles a = float_doubles(m * k, 1), b = float_doubles(k * n, 2), c = random_doubles(m * n, 3);
  Doubles expected = product(rounded(a, bits), rounded(b, bits), m, k, n);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = alpha * expected[i] + (beta == 0 ? 0 : beta * c[i]);
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      SCOPED_TRACE(std::to_string(m) + " " + std::to_string(n) + " " + std::to_string(k) +
                   (ta ? " a'" : " a") + (tb ? " b'" : " b"));
      // With k = 0 one of the factors is stored with zero columns.
      const int64_t a_cols = ta ? m : k, b_cols = tb ? k : n;
      const Buffer<T> da =
          on_device<T>(context, ta ? padded(transposed(a, m, k), k, m, 3) : padded(a, m, k, 3));
      const Buffer<T> db =
          on_device<T>(context, tb ? padded(transposed(b, k, n), n, k, 2) : padded(b, k, n, 2));
      // With beta = 0 the content of C must not matter.
      Doubles old = c;
      if (beta == 0) old.assign(old.size(), std::nan(""));
      Buffer<T> dc = on_device<T>(context, padded(old, m, n, 5));
      kernels::gemm(queue,
                    kernels::Gemm<T>{.transpose_a = ta ? kernels::Transpose::kYes : kernels::Transpose::kNo,
                                     .transpose_b = tb ? kernels::Transpose::kYes : kernels::Transpose::kNo,
                                     .math = math,
                                     .m = m,
                                     .n = n,
                                     .k = k,
                                     .alpha = alpha,
                                     .a = da.data(),
                                     .a_stride = a_cols + 3,
                                     .b = db.data(),
                                     .b_stride = b_cols + 2,
                                     .beta = beta,
                                     .c = dc.data(),
                                     .c_stride = n + 5});
      const double scale = largest_magnitude(expected) + std::abs(static_cast<double>(beta));
      EXPECT_WITHIN(testing::max_difference(unpadded(on_host(dc), m, n, 5), expected), tolerance * scale);
    }
}

TEST_P(LinalgTest, GemmOfEveryShapeAndScale) {
  const auto shapes = {std::array<int64_t, 3>{1, 1, 1}, {1, 33, 2}, {31, 1, 32}, {2, 3, 127}, {33, 65, 31}};
  for (const auto& [m, n, k] : shapes)
    for (const double beta : {0.0, 1.0, -0.5}) {
      const auto scale = static_cast<float>(beta);
      check_gemm<double>(context, context.queue(), m, n, k, -2.0, beta, kernels::GemmMath::kFp32, 53, 1e-14);
      check_gemm<float>(context, context.queue(), m, n, k, -2.0f, scale, kernels::GemmMath::kFp32, 24, 1e-6);
      // A real device may truncate instead.
      const bool cpu = GetParam().kind == DeviceKind::kCpu, rounds = testing::is_emulated(GetParam());
      for (const auto& [math, bits, close] :
           {std::tuple{kernels::GemmMath::kTf32, 11, 4e-3}, std::tuple{kernels::GemmMath::kBf16, 8, 3e-2}}) {
        check_gemm<float>(context, context.queue(), m, n, k, -2.0f, scale, math, cpu ? 24 : bits,
                          cpu || rounds ? 1e-6 : close);
        if (!cpu) continue;
        kernels::Queue rounding = context.queue();
        rounding.round_products = true;
        check_gemm<float>(context, rounding, m, n, k, -2.0f, scale, math, bits, 1e-6);
      }
    }
}

// A product whose sizes and strides exceed 32 bits takes more memory than there is, which the emulated cuBLAS
// says. With 32 bits, each of these products would be a small one that is in bounds.
template <class T>
void check_large_gemm(Context& context, const std::string& name) {
  const int64_t large = (int64_t{1} << 32) + 2, bytes = sizeof(T);
  const Buffer<T> a(context, 4), b(context, 4);
  Buffer<T> c(context, 4);
  const auto refused = [&](auto change) {
    kernels::Gemm<T> args{.m = 2, .n = 2, .k = 2, .a = a.data(), .a_stride = 2, .b = b.data()};
    args.b_stride = 2, args.c = c.data(), args.c_stride = 2;
    change(args);
    return testing::message_of<std::exception>([&] { kernels::gemm(context.queue(), args); });
  };
  const auto text = [&](const char* matrix, int64_t entries) {
    return name + ", " + matrix + ": " + std::to_string(entries * bytes) + " bytes where the allocation";
  };
  // cuBLAS gets B before A.
  EXPECT_CONTAINS(refused([&](auto& x) { x.m = large; }), text("C", 2 * large));
  EXPECT_CONTAINS(refused([&](auto& x) { x.n = x.b_stride = x.c_stride = large; }), text("C", 2 * large));
  EXPECT_CONTAINS(refused([&](auto& x) { x.k = x.a_stride = large; }), text("A", 2 * large));
  EXPECT_CONTAINS(refused([&](auto& x) { x.a_stride = large; }), text("B", large + 2));
  EXPECT_CONTAINS(refused([&](auto& x) { x.b_stride = large; }), text("A", large + 2));
  EXPECT_CONTAINS(refused([&](auto& x) { x.c_stride = large; }), text("C", large + 2));
}

TEST_P(LinalgTest, GemmOnCudaTakes64BitSizes) {
  if (!testing::is_emulated(GetParam())) GTEST_SKIP() << "not emulated: a device would run out of bounds";
  check_large_gemm<float>(context, "cublasGemmEx_64");
  check_large_gemm<double>(context, "cublasDgemm_64");
}

// The same for triangular systems.
TEST_P(LinalgTest, SolvesOnCudaTake64BitSizes) {
  if (!testing::is_emulated(GetParam())) GTEST_SKIP() << "not emulated: a device would run out of bounds";
  const int64_t large = (int64_t{1} << 32) + 2;
  const Buffer<double> l(context, 4);
  Buffer<double> b(context, 4);
  const auto refused = [&](auto change) {
    kernels::SolveTriangular args{.l = l.data(), .l_stride = 2, .b = b.data(), .b_stride = 2, .n = 2};
    args.cols = 2;
    change(args);
    return testing::message_of<std::exception>([&] { solve_triangular(context.queue(), args); });
  };
  const auto text = [&](const char* matrix, int64_t entries) {
    return std::string("cublasDtrsm_64, ") + matrix + ": " + std::to_string(entries * 8) +
           " bytes where the allocation";
  };
  EXPECT_CONTAINS(refused([&](auto& x) { x.l_stride = large; }), text("A", large + 2));
  EXPECT_CONTAINS(refused([&](auto& x) { x.cols = x.b_stride = large; }), text("B", 2 * large));
  EXPECT_CONTAINS(refused([&](auto& x) { x.b_stride = large; }), text("B", large + 2));
}

TEST_P(LinalgTest, GemmWithoutTermsScalesC) {
  for (const double beta : {0.0, 1.0, -0.5}) {
    check_gemm<double>(context, context.queue(), 3, 5, 0, 2.0, beta, kernels::GemmMath::kFp32, 53, 0);
    check_gemm<float>(context, context.queue(), 33, 65, 0, 2.0f, static_cast<float>(beta),
                      kernels::GemmMath::kFp32, 24, 0);
  }
  // A matrix without columns has stride 0 and no memory.
  Matrix<double> c = upload({1, 2, 3, 4, 5, 6}, 2, 3);
  gemm(context, Op::kNone, Op::kTranspose, 1.0, Matrix<double>(context, 2, 0), Matrix<double>(context, 3, 0),
       2.0, c);
  EXPECT_EQ(c.download(), (Doubles{2, 4, 6, 8, 10, 12}));
}

TEST_P(LinalgTest, GemmOfNothingDoesNothing) {
  Matrix<double> c = upload({1, 2, 3}, 1, 3);
  gemm(context, Op::kNone, Op::kNone, 1.0, Matrix<double>(context, 0, 2), Matrix<double>(context, 2, 3), 0.0,
       MatrixD(c.data(), 0, 3));
  gemm(context, Op::kNone, Op::kNone, 1.0, Matrix<double>(context, 1, 2), Matrix<double>(context, 2, 0), 0.0,
       MatrixD(c.data(), 1, 0));
  EXPECT_EQ(c.download(), (Doubles{1, 2, 3}));
}

TEST_P(LinalgTest, EighLeavesWhatLiesBetweenTheRows) {
  for (const int64_t n : {1, 2, 33}) {
    SCOPED_TRACE(n);
    Doubles a = random_doubles(n * n, 6);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j) a[j * n + i] = a[i * n + j];
    Buffer<double> vectors(context, padded(a, n, n, 3)), values(context, n);
    Buffer<int32_t> info(context, std::vector<int32_t>{-99});
    kernels::Eigh args{
        .a = vectors.data(), .a_stride = n + 3, .n = n, .values = values.data(), .info = info.data()};
    Buffer<unsigned char> scratch(context, static_cast<int64_t>(eigh_scratch(context.queue(), args)));
    args.scratch = scratch.data();
    kernels::eigh(context.queue(), args);
    EXPECT_EQ(info.download()[0], 0);
    const Doubles v = unpadded(vectors.download(), n, n, 3), w = values.download();
    Doubles scaled = v;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) scaled[i * n + j] *= w[i];
    EXPECT_WITHIN(distance_from_orthonormal(v, n, n), 1e-13 * static_cast<double>(n + 1));
    EXPECT_WITHIN(testing::max_difference(product(v, a, n, n, n), scaled),
                  1e-13 * static_cast<double>(n + 1));
    EXPECT_TRUE(std::is_sorted(w.begin(), w.end()));
  }
}

TEST_P(LinalgTest, SvdLeavesWhatLiesBetweenTheRows) {
  for (const auto& [m, n] : {std::pair{1, 1}, {1, 4}, {4, 1}, {33, 7}, {7, 33}, {32, 32}}) {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n));
    const int64_t k = std::min(m, n);
    const Doubles a = random_doubles(int64_t{m} * n, 7);
    // A's padding may change: A is destroyed.
    Buffer<double> da(context, padded(a, m, n, 3)), du(context, padded(Doubles(m * k), m, k, 2)),
        dvt(context, padded(Doubles(k * n), k, n, 5)), values(context, k);
    Buffer<int32_t> info(context, std::vector<int32_t>{-99});
    kernels::Svd args{.a = da.data(),
                      .a_stride = n + 3,
                      .m = m,
                      .n = n,
                      .u = du.data(),
                      .u_stride = k + 2,
                      .values = values.data(),
                      .vt = dvt.data(),
                      .vt_stride = n + 5,
                      .info = info.data()};
    Buffer<unsigned char> scratch(context, static_cast<int64_t>(svd_scratch(context.queue(), args)));
    args.scratch = scratch.data();
    kernels::svd(context.queue(), args);
    EXPECT_EQ(info.download()[0], 0);
    const Doubles u = unpadded(du.download(), m, k, 2), vt = unpadded(dvt.download(), k, n, 5);
    const Doubles s = values.download();
    const double bound = 1e-14 * (m + n + 10.0);
    EXPECT_WITHIN(distance_from_orthonormal(transposed(u, m, k), k, m), bound);
    EXPECT_WITHIN(distance_from_orthonormal(vt, k, n), bound);
    Doubles scaled = vt;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j) scaled[i * n + j] *= s[i];
    EXPECT_WITHIN(testing::max_difference(product(u, scaled, m, k, n), a), bound * largest_magnitude(a));
    EXPECT_TRUE(std::is_sorted(s.rbegin(), s.rend()));
  }
}

TEST_P(LinalgTest, EighOfRandomMatrices) {
  for (const int64_t n : {1, 2, 3, 31, 32, 33, 127}) {
    SCOPED_TRACE(n);
    Doubles a = random_doubles(n * n, 10 + n);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j) a[j * n + i] = a[i * n + j];
    check_eigh(a, n);
  }
}

TEST_P(LinalgTest, EighReadsTheLowerTriangle) {
  const Doubles whole = {2, 1, 1, 3}, lower = {2, std::nan(""), 1, 3};
  EXPECT_EQ(eigh(context, upload(lower, 2, 2)).values.download(),
            eigh(context, upload(whole, 2, 2)).values.download());
}

TEST_P(LinalgTest, EighOfDegenerateMatrices) {
  const int64_t n = 33;
  check_eigh(Doubles(n * n, 0.0), n);
  check_eigh(Doubles(n * n, 1.0), n);  // rank 1, eigenvalue 0 repeated
  Doubles identity(n * n), huge(n * n), projector(n * n);
  for (int64_t i = 0; i < n; ++i) {
    identity[i * n + i] = 1;
    projector[i * n + i] = i % 2;
    for (int64_t j = 0; j < n; ++j) huge[i * n + j] = 1e200 / static_cast<double>(1 + i + j);
  }
  check_eigh(identity, n);
  check_eigh(projector, n);
  check_eigh(huge, n);
}

TEST_P(LinalgTest, SvdOfRandomMatrices) {
  for (const auto& [m, n] : {std::pair{1, 1},
                             {1, 7},
                             {7, 1},
                             {2, 2},
                             {31, 33},
                             {33, 31},
                             {32, 32},
                             {127, 5},
                             {5, 127},
                             {127, 127}}) {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n));
    check_svd(random_doubles(int64_t{m} * n, 20 + m), m, n);
  }
}

TEST_P(LinalgTest, SvdOfDegenerateMatrices) {
  const int64_t m = 31, n = 33;
  check_svd(Doubles(m * n, 0.0), m, n);
  check_svd(Doubles(m * n, 1e-200), m, n);
  Doubles identity(m * n);
  for (int64_t i = 0; i < m; ++i) identity[i * n + i] = -1;
  check_svd(identity, m, n);
  const Doubles rank_three = product(random_doubles(m * 3, 1), random_doubles(3 * n, 2), m, 3, n);
  check_svd(rank_three, m, n);
  check_svd(transposed(rank_three, m, n), n, m);
  const Doubles values = svd(context, upload(rank_three, m, n)).values.download();
  EXPECT_GT(values[2], 1.0);
  EXPECT_WITHIN(values[3], 1e-12);
}

TEST_P(LinalgTest, InverseCholeskyWhitensAndReadsTheLowerTriangle) {
  for (const int64_t n : {1, 2, 5, 33, 70}) {
    SCOPED_TRACE(n);
    const Doubles b = random_doubles(2 * n * n, uint64_t(n));
    Doubles a = product(transposed(b, 2 * n, n), b, n, 2 * n, n);
    for (int64_t i = 0; i < n; ++i) a[i * n + i] += 1;
    Doubles lower = a;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = i + 1; j < n; ++j) lower[i * n + j] = std::numeric_limits<double>::quiet_NaN();
    const Doubles w = inverse_cholesky(context, upload(lower, n, n)).download();
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_GT(w[i * n + i], 0);
      for (int64_t j = i + 1; j < n; ++j) EXPECT_EQ(w[i * n + j], 0.0);
    }
    Doubles covariance = product(product(w, a, n, n, n), transposed(w, n, n), n, n, n);
    for (int64_t i = 0; i < n; ++i) covariance[i * n + i] -= 1;
    EXPECT_WITHIN(largest_magnitude(covariance), 1e-13 * static_cast<double>(n + 10));
    EXPECT_EQ(inverse_cholesky(context, upload(a, n, n)).download(), w);
  }
}

TEST_P(LinalgTest, InverseCholeskyRefusesWhatIsNotPositiveDefinite) {
  const auto refused = [&](const Doubles& a, int64_t n) {
    expect_message<NumericalError>([&] { inverse_cholesky(context, upload(a, n, n)); },
                                   "it is not positive definite");
  };
  refused({0}, 1);
  refused({-1}, 1);
  refused({1, 2, 2, 1}, 2);  // eigenvalues 3 and -1
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const size_t at : {0, 3, 8}) {
      Doubles a = {2, 0, 0, 0, 2, 0, 0, 0, 2};
      a[at] = bad;
      refused(a, 3);
    }
  expect_message<InvalidArgument>([&] { inverse_cholesky(context, upload(Doubles(6), 2, 3)); },
                                  "expected a square matrix of 1 to 20000 rows, found [2, 3]");
}

TEST_P(LinalgTest, SignsDoNotFollowTheInput) {
  // Components of equal magnitude and opposite sign: the first one is positive.
  EXPECT_GT(eigh(context, upload({1, -1, -1, 1}, 2, 2)).vectors.download()[2], 0.0);
  const Doubles a = random_doubles(33 * 7, 4);
  Doubles negative = a;
  for (double& value : negative) value = -value;
  const Doubles plus = svd(context, upload(a, 33, 7)).vt.download();
  EXPECT_WITHIN(testing::max_difference(svd(context, upload(negative, 33, 7)).vt.download(), plus), 1e-12);
}

TEST_P(LinalgTest, RepeatsBitForBit) {
  const int64_t n = 127;
  const Doubles a = random_doubles(n * n, 5);
  EXPECT_EQ(svd(context, upload(a, n, n)).u.download(), svd(context, upload(a, n, n)).u.download());
  EXPECT_EQ(eigh(context, upload(a, n, n)).vectors.download(),
            eigh(context, upload(a, n, n)).vectors.download());
}

TEST_P(LinalgTest, ErrorsSayWhatIsWrong) {
  expect_message<InvalidArgument>([&] { eigh(context, Matrix<double>(context, 3, 4)); }, "[3, 4]");
  expect_message<InvalidArgument>([&] { eigh(context, {}); }, "[0, 0]");
  expect_message<InvalidArgument>([&] { svd(context, Matrix<double>(context, 0, 4)); }, "[0, 4]");
  expect_message<InvalidArgument>(
      [&] {
        gemm(context, Op::kNone, Op::kNone, 1.0, upload({1}, 1, 1), upload({1, 2}, 2, 1), 0.0, {});
      },
      "op(A) is [1, 1]");
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const Doubles a = {1, 0, bad, 1};
    EXPECT_THROW(eigh(context, upload(a, 2, 2)), NumericalError);
    expect_message<NumericalError>([&] { svd(context, upload(a, 2, 2)); }, "svd of a [2, 2] matrix");
  }
}

}  // namespace lib_linalg_test
}  // namespace sotalign
