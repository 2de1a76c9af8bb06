// The twins of cuBLAS and cuSOLVER: results, status codes, order of execution.
#include <cublas_v2.h>
#include <cusolverDn.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "simt/support.h"

namespace simt::testing {
namespace simt_libraries_test {

template <class T>
std::vector<T> random_values(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<T> normal;
  std::vector<T> values(count);
  for (T& value : values) value = normal(engine);
  return values;
}

class LibrariesTest : public EmulatorTest {
 protected:
  LibrariesTest() {
    EXPECT_EQ(cublasCreate_v2(&blas), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetStream_v2(blas, stream), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cusolverDnCreate(&solver), CUSOLVER_STATUS_SUCCESS);
    EXPECT_EQ(cusolverDnSetStream(solver, stream), CUSOLVER_STATUS_SUCCESS);
  }
  ~LibrariesTest() override {
    EXPECT_EQ(cublasDestroy_v2(blas), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cusolverDnDestroy(solver), CUSOLVER_STATUS_SUCCESS);
  }

  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
};

constexpr cublasOperation_t kN = CUBLAS_OP_N, kT = CUBLAS_OP_T;

// --- products ---

cublasStatus_t product(cublasHandle_t blas, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m,
                       int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float beta, float* c, int64_t ldc,
                       cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
  return cublasGemmEx_64(blas, op_a, op_b, m, n, k, &alpha, a, CUDA_R_32F, lda, b, CUDA_R_32F, ldb, &beta, c,
                         CUDA_R_32F, ldc, compute, CUBLAS_GEMM_DEFAULT);
}
cublasStatus_t product(cublasHandle_t blas, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m,
                       int64_t n, int64_t k, double alpha, const double* a, int64_t lda, const double* b,
                       int64_t ldb, double beta, double* c, int64_t ldc) {
  return cublasDgemm_v2_64(blas, op_a, op_b, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc);
}

/// Compares products whose strides exceed the rows with plain loops.
template <class T>
void check_products(cublasHandle_t blas, cudaStream_t stream, double tolerance) {
  const int m = 5, n = 3, k = 7;
  for (const cublasOperation_t op_a : {kN, kT})
    for (const cublasOperation_t op_b : {kN, kT}) {
      const int lda = (op_a == kN ? m : k) + 2, ldb = (op_b == kN ? k : n) + 1, ldc = m + 3;
      const auto a = random_values<T>(static_cast<size_t>(lda * std::max(m, k)), 1);
      const auto b = random_values<T>(static_cast<size_t>(ldb * std::max(n, k)), 2);
      const auto c = random_values<T>(static_cast<size_t>(ldc * n), 3);
      const Array<T> da(stream, a), db(stream, b), dc(stream, c);
      ASSERT_EQ(
          product(blas, op_a, op_b, m, n, k, T{2}, da.data(), lda, db.data(), ldb, T{0.5}, dc.data(), ldc),
          CUBLAS_STATUS_SUCCESS);
      const std::vector<T> result = dc.download(stream);
      for (int j = 0; j < n; ++j)
        for (int i = 0; i < ldc; ++i) {
          const size_t at = static_cast<size_t>(j * ldc + i);
          double expected = c[at];  // the padding between columns does not change
          if (i < m) {
            double sum = 0;
            for (int l = 0; l < k; ++l)
              sum += double{a[static_cast<size_t>(op_a == kN ? l * lda + i : i * lda + l)]} *
                     double{b[static_cast<size_t>(op_b == kN ? j * ldb + l : l * ldb + j)]};
            expected = 2 * sum + 0.5 * expected;
          }
          ASSERT_TRUE(std::abs(result[at] - expected) <= tolerance) << result[at] << " for " << expected;
        }
    }
}

TEST_F(LibrariesTest, ProductsAgreeWithLoops) {
  check_products<float>(blas, stream, 1e-5);
  check_products<double>(blas, stream, 1e-14);
}

TEST_F(LibrariesTest, ZeroFactorsLeaveMatricesUnread) {
  const Array<float> a(4), b(4), c(4);  // NaN
  ASSERT_EQ(product(blas, kN, kN, 2, 2, 2, 0.0f, a.data(), 2, b.data(), 2, 0.0f, c.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.download(stream), std::vector<float>(4, 0.0f));
  const Array<float> ones(stream, std::vector<float>(4, 1.0f)), nan(4);
  ASSERT_EQ(product(blas, kN, kN, 2, 2, 2, 1.0f, ones.data(), 2, ones.data(), 2, 0.0f, nan.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(nan.download(stream), std::vector<float>(4, 2.0f));
  // Empty sum.
  ASSERT_EQ(product(blas, kN, kN, 2, 2, 0, 1.0f, nullptr, 2, nullptr, 1, 3.0f, nan.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(nan.download(stream), std::vector<float>(4, 6.0f));
}

TEST_F(LibrariesTest, FasterArithmeticRoundsTheFactors) {
  // 1 + 2^-10 has 11 significant bits and 1 + 2^-7 has 8. One more bit is a tie, which rounds to even.
  const auto square = [&](float x, cublasComputeType_t compute) {
    const Array<float> a(stream, {x}), b(stream, {1.0f}), c(1);
    EXPECT_EQ(product(blas, kN, kN, 1, 1, 1, 1.0f, a.data(), 1, b.data(), 1, 0.0f, c.data(), 1, compute),
              CUBLAS_STATUS_SUCCESS);
    return c.download(stream)[0];
  };
  const auto tf32 = CUBLAS_COMPUTE_32F_FAST_TF32, bf16 = CUBLAS_COMPUTE_32F_FAST_16BF;
  for (const float sign : {1.0f, -1.0f}) {
    EXPECT_EQ(square(sign * (1 + 0x1p-20f), CUBLAS_COMPUTE_32F), sign * (1 + 0x1p-20f));
    EXPECT_EQ(square(sign * (1 + 0x1p-10f), tf32), sign * (1 + 0x1p-10f));
    EXPECT_EQ(square(sign * (1 + 0x1p-11f), tf32), sign);
    EXPECT_EQ(square(sign * (1 + 0x1p-11f + 0x1p-20f), tf32), sign * (1 + 0x1p-10f));
    EXPECT_EQ(square(sign * (1 + 3 * 0x1p-11f), tf32), sign * (1 + 0x1p-9f));
    EXPECT_EQ(square(sign * (1 + 0x1p-7f), bf16), sign * (1 + 0x1p-7f));
    EXPECT_EQ(square(sign * (1 + 0x1p-8f), bf16), sign);
    EXPECT_EQ(square(sign * (1 + 3 * 0x1p-8f), bf16), sign * (1 + 0x1p-6f));
    EXPECT_EQ(square(sign * INFINITY, bf16), sign * INFINITY);
    EXPECT_TRUE(std::isnan(square(std::nanf(""), bf16)));
  }
}

TEST_F(LibrariesTest, ProductsThatCublasRefuses) {
  const Array<float> x(100);
  float* p = x.data();
  const auto invalid = CUBLAS_STATUS_INVALID_VALUE;
  EXPECT_EQ(product(blas, kN, kN, 4, 3, 2, 1.0f, p, 3, p + 50, 2, 0.0f, p + 80, 4), invalid);
  EXPECT_EQ(product(blas, kT, kN, 4, 3, 2, 1.0f, p, 1, p + 50, 2, 0.0f, p + 80, 4), invalid);
  EXPECT_EQ(product(blas, kN, kN, 4, 3, 2, 1.0f, p, 4, p + 50, 1, 0.0f, p + 80, 4), invalid);
  EXPECT_EQ(product(blas, kN, kT, 4, 3, 2, 1.0f, p, 4, p + 50, 2, 0.0f, p + 80, 4), invalid);
  EXPECT_EQ(product(blas, kN, kN, 4, 3, 2, 1.0f, p, 4, p + 50, 2, 0.0f, p + 80, 3), invalid);
  EXPECT_EQ(product(blas, kN, kN, -1, 3, 2, 1.0f, p, 4, p + 50, 2, 0.0f, p + 80, 4), invalid);
  EXPECT_EQ(product(blas, kN, kN, 0, 3, 2, 1.0f, nullptr, 1, nullptr, 2, 0.0f, nullptr, 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(product(blas, kN, kN, 4, 3, 2, 1.0f, p, 4, p + 50, 2, 0.0f, p + 80, 4), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(product(blas, kN, kN, 4, 3, 2, 1.0f, p, 4, p, 2, 0.0f, p + 80, 4, CUBLAS_COMPUTE_16F),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(product(nullptr, kN, kN, 4, 3, 2, 1.0f, p, 4, p + 50, 2, 0.0f, p + 80, 4),
            CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_STREQ(cublasGetStatusName(invalid), "CUBLAS_STATUS_INVALID_VALUE");
  // Bugs that cuBLAS cannot detect.
  std::vector<float> host(100);
  const auto mistake = [&](const float* a, const float* b, float* c) {
    return error_of([&] { product(blas, kN, kN, 4, 3, 2, 1.0f, a, 4, b, 2, 0.0f, c, 4); });
  };
  EXPECT_CONTAINS(mistake(host.data(), p, p + 50), "cublasGemmEx_64, A: not a pointer into device memory");
  EXPECT_CONTAINS(mistake(p, p + 95, p + 50), "cublasGemmEx_64, B: 24 bytes");
  EXPECT_CONTAINS(mistake(p, p + 50, p + 89), "cublasGemmEx_64, C: 48 bytes");
  EXPECT_CONTAINS(mistake(p, p + 50, p + 7), "the result overlaps a factor");
  EXPECT_CONTAINS(mistake(p, p + 50, p + 55), "the result overlaps a factor");
  // A stride of a factor that is not read.
  EXPECT_CONTAINS(error_of([&] {
                    product(blas, kN, kN, 4, 3, 2, 0.0f, p, int64_t{1} << 32, p + 50, 2, 0.0f, p + 80, 4);
                  }),
                  "cublasGemmEx_64: a size beyond the host's BLAS");
}

TEST_F(LibrariesTest, ProductsKeepTheOrderOfTheirStream) {
  config.deferred = true;
  const Array<float> a(stream, {2}), c(stream, {0});
  ASSERT_EQ(product(blas, kN, kN, 1, 1, 1, 1.0f, a.data(), 1, a.data(), 1, 0.0f, c.data(), 1),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(product(blas, kN, kN, 1, 1, 1, 1.0f, a.data(), 1, a.data(), 1, 10.0f, c.data(), 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.download(stream)[0], 44.0f);
  cublasHandle_t other = nullptr;
  ASSERT_EQ(cublasCreate_v2(&other), CUBLAS_STATUS_SUCCESS);
  EXPECT_CONTAINS(
      error_of([&] { product(other, kN, kN, 1, 1, 1, 1.0f, a.data(), 1, a.data(), 1, 0.0f, c.data(), 1); }),
      "on the default stream");  // a forgotten cublasSetStream
  EXPECT_EQ(cublasDestroy_v2(other), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasDestroy_v2(other), CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST_F(LibrariesTest, Transposition) {
  const int m = 3, n = 2;
  const Array<double> a(stream, {1, 2, 3, 4, 5, 6}), c(6), d(stream, {1, 1, 1, 1, 1, 1});
  const double one = 1, zero = 0, two = 2;
  // c = a' for column-major a [2, 3]; the second matrix is not read.
  ASSERT_EQ(cublasDgeam_64(blas, kT, kN, m, n, &one, a.data(), n, &zero, c.data(), m, c.data(), m),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.download(stream), (std::vector<double>{1, 3, 5, 2, 4, 6}));
  ASSERT_EQ(cublasDgeam_64(blas, kN, kN, m, n, &two, c.data(), m, &one, d.data(), m, c.data(), m),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(c.download(stream), (std::vector<double>{3, 7, 11, 5, 9, 13}));
  // An in-place transposition would read what it has already written.
  EXPECT_EQ(cublasDgeam_64(blas, kT, kN, 2, 2, &one, c.data(), 2, &zero, d.data(), 2, c.data(), 2),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasDgeam_64(blas, kT, kN, m, n, &one, a.data(), 1, &zero, d.data(), m, c.data(), m),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasDgeam_64(nullptr, kT, kN, m, n, &one, a.data(), n, &zero, d.data(), m, c.data(), m),
            CUBLAS_STATUS_NOT_INITIALIZED);
}

// --- decompositions ---

TEST_F(LibrariesTest, Eigenvectors) {
  const int n = 6, lda = 8;
  std::vector<double> a = random_values<double>(static_cast<size_t>(lda * n), 4);
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < j; ++i) a[static_cast<size_t>(i * lda + j)] = a[static_cast<size_t>(j * lda + i)];
  const Array<double> da(stream, a), values(n);
  const Array<int> info(1);
  int size = 0;
  const auto vectors = CUSOLVER_EIG_MODE_VECTOR;
  const auto upper = CUBLAS_FILL_MODE_UPPER;
  ASSERT_EQ(cusolverDnDsyevd_bufferSize(solver, vectors, upper, n, da.data(), lda, values.data(), &size),
            CUSOLVER_STATUS_SUCCESS);
  const Array<double> work(static_cast<size_t>(size));
  ASSERT_EQ(cusolverDnDsyevd(solver, vectors, upper, n, da.data(), lda, values.data(), work.data(), size,
                             info.data()),
            CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(info.download(stream)[0], 0);
  const std::vector<double> v = da.download(stream), w = values.download(stream);
  EXPECT_TRUE(std::is_sorted(w.begin(), w.end()));
  for (int k = 0; k < n; ++k)
    for (int i = 0; i < n; ++i) {
      double sum = 0;
      for (int j = 0; j < n; ++j)
        sum += a[static_cast<size_t>(j * lda + i)] * v[static_cast<size_t>(k * lda + j)];
      EXPECT_NEAR(sum, w[static_cast<size_t>(k)] * v[static_cast<size_t>(k * lda + i)], 1e-13);
    }
  const auto call = [&](int order, int stride, double* workspace, int given) {
    return cusolverDnDsyevd(solver, vectors, upper, order, da.data(), stride, values.data(), workspace, given,
                            info.data());
  };
  EXPECT_EQ(call(n, lda, work.data(), size - 1), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(n, n - 1, work.data(), size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(-1, lda, work.data(), size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_CONTAINS(error_of([&] { call(n, lda, work.data() + 1, size); }), "cusolverDnDsyevd, work: ");
  EXPECT_EQ(cusolverDnDsyevd_bufferSize(nullptr, vectors, upper, n, da.data(), lda, values.data(), &size),
            CUSOLVER_STATUS_NOT_INITIALIZED);
}

TEST_F(LibrariesTest, SingularVectors) {
  const int m = 7, n = 4, lda = 9, ldu = 8, ldvt = 6;
  const std::vector<double> a = random_values<double>(static_cast<size_t>(lda * n), 5);
  const Array<double> da(stream, a), values(n), u(ldu * n), vt(ldvt * n);
  const Array<int> info(1);
  int size = 0;
  ASSERT_EQ(cusolverDnDgesvd_bufferSize(solver, m, n, &size), CUSOLVER_STATUS_SUCCESS);
  const Array<double> work(static_cast<size_t>(size));
  const auto call = [&](int rows, int cols, int stride, int u_stride, int vt_stride, int given) {
    return cusolverDnDgesvd(solver, 'S', 'S', rows, cols, da.data(), stride, values.data(), u.data(),
                            u_stride, vt.data(), vt_stride, work.data(), given, nullptr, info.data());
  };
  // cuSOLVER requires at least as many rows as columns.
  EXPECT_EQ(cusolverDnDgesvd_bufferSize(solver, n, m, &size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(n, m, lda, ldu, 7, size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(m, n, m - 1, ldu, ldvt, size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(m, n, lda, m - 1, ldvt, size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(m, n, lda, ldu, n - 1, size), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(m, n, lda, ldu, ldvt, size - 1), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_CONTAINS(error_of([&] { call(m, n, lda, ldu + 1, ldvt, size); }), "cusolverDnDgesvd, U: ");
  ASSERT_EQ(call(m, n, lda, ldu, ldvt, size), CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(info.download(stream)[0], 0);
  const std::vector<double> left = u.download(stream), right = vt.download(stream),
                            s = values.download(stream);
  EXPECT_TRUE(std::is_sorted(s.rbegin(), s.rend()));
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int k = 0; k < n; ++k)
        sum += left[static_cast<size_t>(k * ldu + i)] * s[static_cast<size_t>(k)] *
               right[static_cast<size_t>(j * ldvt + k)];
      EXPECT_NEAR(sum, a[static_cast<size_t>(j * lda + i)], 1e-13);
    }
}

// The library looks these up by name.
TEST_F(LibrariesTest, FunctionsAreFoundByName) {
  for (const char* name : {"cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasGetVersion_v2",
                           "cublasGetProperty", "cublasGetStatusName", "cublasGemmEx_64", "cublasDgemm_v2_64",
                           "cublasDgeam_64", "cusolverDnCreate", "cusolverDnDestroy", "cusolverDnSetStream",
                           "cusolverGetVersion", "cusolverGetProperty", "cusolverDnDsyevd_bufferSize",
                           "cusolverDnDsyevd", "cusolverDnDgesvd_bufferSize", "cusolverDnDgesvd"})
    EXPECT_NE(dlsym(RTLD_DEFAULT, name), nullptr) << name;
  int version = 0;
  EXPECT_EQ(cublasGetVersion_v2(blas, &version), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(version, CUBLAS_VERSION);
  EXPECT_EQ(cusolverGetVersion(&version), CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(version, CUSOLVER_VERSION);
  EXPECT_EQ(cublasGetProperty(MAJOR_VERSION, &version), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(version, CUBLAS_VER_MAJOR);
  EXPECT_EQ(cusolverGetProperty(MAJOR_VERSION, &version), CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(version, CUSOLVER_VER_MAJOR);
}

}  // namespace simt_libraries_test
}  // namespace simt::testing
