// Context, workspace, buffers and matrix products.
#include <gtest/gtest.h>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign {
namespace lib_core_test {

using testing::random_normal;

TEST(Device, NamesAreParsedAndRejected) {
  EXPECT_EQ(parse_device("cpu"), Device{});
  for (const char* name : {"gpu", "cuda:99", "cuda:-1", "cuda:", "cuda:0x", "cuda:99999999999", ""})
    EXPECT_THROW(parse_device(name), InvalidArgument) << name;
  EXPECT_THROW(Context(Device{}, -1), InvalidArgument);
}

TEST(Device, AutoIsTheFirstUsableDeviceElseTheCpu) {
  EXPECT_EQ(parse_device("auto"), testing::devices().back());
  EXPECT_EQ(cuda_support().unusable.empty(), parse_device("auto").kind == DeviceKind::kCuda);
}

TEST(Device, MissingCudaIsNamed) {
  const CudaSupport cuda = cuda_support();
  if (cuda.unusable.empty()) GTEST_SKIP() << "this machine has a CUDA device";
  try {
    parse_device("cuda");
    FAIL() << "no exception";
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find(cuda.unusable), std::string::npos) << error.what();
  }
}

TEST(DeviceError, NamesLibraryCallAndCode) {
  const CublasError error("cublasGemmEx", 13, "CUBLAS_STATUS_EXECUTION_FAILED");
  EXPECT_EQ(std::string(error.what()),
            "cuBLAS: cublasGemmEx failed with CUBLAS_STATUS_EXECUTION_FAILED (code 13)");
  EXPECT_EQ(error.code(), 13);
}

class CoreTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(CoreTest);

TEST_P(CoreTest, WorkspaceAllocatesNothingAfterTheFirstPass) {
  const auto pass = [&] {
    Workspace outer(context);
    float* a = outer.take<float>(300'000);
    {
      Workspace inner(context);
      inner.take<double>(400'000);
    }
    float* b = outer.take<float>(1);
    EXPECT_NE(a, b);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0u);
  };
  pass();
  const int64_t before = context.allocations();
  pass();
  pass();
  EXPECT_EQ(context.allocations(), before);
}

TEST_P(CoreTest, MemoryIsCountedAndReturned) {
  const int64_t before = context.bytes_in_use();
  {
    Matrix<float> m(context, 10, 20);
    EXPECT_EQ(context.bytes_in_use(), before + 800);
    Matrix<float> other = std::move(m);
    EXPECT_EQ(other.download(), std::vector<float>(200, 0.0f));
  }
  EXPECT_EQ(context.bytes_in_use(), before);
}

TEST_P(CoreTest, MatricesAreCopiedFromAndToPaddedRows) {
  const std::vector<float> host = {1, 2, 3, -1, 4, 5, 6, -1};
  Matrix<float> m(context, 2, 3);
  m.upload(ConstMatrixF(host.data(), 2, 3, 4));
  EXPECT_EQ(m.download(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  std::vector<float> padded(2 * 5, 9.0f), packed(2 * 3);
  m.download(MatrixF(padded.data(), 2, 3, 5));
  EXPECT_EQ(padded, (std::vector<float>{1, 2, 3, 9, 9, 4, 5, 6, 9, 9}));
  m.download(MatrixF(packed.data(), 2, 3));
  EXPECT_EQ(packed, m.download());
  EXPECT_THROW(m.upload(ConstMatrixF(host.data(), 3, 2)), InvalidArgument);
  EXPECT_THROW(m.download(MatrixF(packed.data(), 1, 3)), InvalidArgument);
}

TEST_P(CoreTest, ImpossibleAllocationSaysWhatItWasFor) {
  try {
    Buffer<float> huge(context, int64_t{1} << 55, "affinity");
    FAIL() << "no exception";
  } catch (const OutOfMemory& error) {
    EXPECT_NE(std::string(error.what()).find("affinity"), std::string::npos) << error.what();
  }
}

TEST_P(CoreTest, GemmAgreesWithLoops) {
  const int64_t m = 33, n = 17, k = 31;
  for (const Op op_a : {Op::kNone, Op::kTranspose})
    for (const Op op_b : {Op::kNone, Op::kTranspose}) {
      const bool ta = op_a == Op::kTranspose, tb = op_b == Op::kTranspose;
      const std::vector<float> a = random_normal(m * k, 1), b = random_normal(k * n, 2),
                               c = random_normal(m * n, 3);
      std::vector<double> expected(c.size());
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t l = 0; l < k; ++l)
            sum += double(ta ? a[l * m + i] : a[i * k + l]) * double(tb ? b[j * k + l] : b[l * n + j]);
          expected[i * n + j] = 2 * sum + 0.5 * c[i * n + j];
        }
      const Matrix<float> da(context, a.data(), ta ? k : m, ta ? m : k),
          db(context, b.data(), tb ? n : k, tb ? k : n);
      Matrix<float> dc(context, c.data(), m, n);
      gemm(context, op_a, op_b, 2.0f, da, db, 0.5f, dc);
      EXPECT_WITHIN(testing::relative_l1(dc.download(), expected), 1e-6);
    }
  const Matrix<float> a(context, 3, 4), b(context, 5, 6);
  Matrix<float> c(context, 3, 6);
  EXPECT_THROW(gemm(context, Op::kNone, Op::kNone, 1.0f, a, b, 0.0f, c), InvalidArgument);
}

}  // namespace lib_core_test
}  // namespace sotalign
