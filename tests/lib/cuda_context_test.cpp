// A context on the caller's CUDA stream.
#include <gtest/gtest.h>

#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <thread>

#include "kernels/cuda/check.h"
#include "kernels/cuda/vendor.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/eigh.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/default_stream.h"
#include "support/deferred_work.h"
#include "support/descend.h"
#include "support/devices.h"
#include "support/library_handles.h"
#include "support/recording_resource.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_cuda_context_test {

using testing::descend;
using testing::random_normal;
using testing::random_uniform;
using testing::RecordingResource;
using testing::relative_l1;

constexpr int64_t kRows = 40, kCols = 33;
const KlotOptions kOptions =
    KlotOptions{.epsilon_student = 0.07, .epsilon_teacher = 0.03}.with_both({.iterations = 12});

#define EXPECT_CUDA(call) EXPECT_EQ(call, cudaSuccess)

/// Memory cut from one piece. It is returned at the end only, as cudaFree would wait for all streams.
class Arena final : public MemoryResource {
 public:
  explicit Arena(Device device) : backing_(device) {
    memory_ = static_cast<char*>(backing_.allocate(kBytes, "arena"));
  }
  ~Arena() override { backing_.deallocate(memory_); }
  void* allocate(size_t bytes, size_t alignment, CudaStream) override {
    const size_t first = (used_ + alignment - 1) / alignment * alignment;
    if (bytes > kBytes - first) return nullptr;
    used_ = first + bytes;
    return memory_ + first;
  }
  void deallocate(void*, size_t, size_t, CudaStream) noexcept override {}

 private:
  static constexpr size_t kBytes = size_t{16} << 20;
  Context backing_;
  char* memory_;
  size_t used_ = 0;
};

TEST(CudaErrors, FailedAllocationsAreOutOfMemory) {
  using namespace kernels::cuda;
  const std::string expected = "out of memory on the CUDA device in call";
  const auto message = [](const auto& fail) { return testing::message_of<OutOfMemory>(fail); };
  EXPECT_EQ(message([] { fail_cuda("call", cudaErrorMemoryAllocation, "name"); }), expected);
  EXPECT_EQ(message([] { fail_cublas("call", CUBLAS_STATUS_ALLOC_FAILED, "name"); }), expected);
  EXPECT_EQ(message([] { fail_cusolver("call", CUSOLVER_STATUS_ALLOC_FAILED, "name"); }), expected);
  EXPECT_THROW(fail_cuda("call", cudaErrorInvalidValue, "name"), CudaError);
  EXPECT_THROW(fail_cublas("call", CUBLAS_STATUS_INVALID_VALUE, "name"), CublasError);
  EXPECT_THROW(fail_cusolver("call", CUSOLVER_STATUS_INVALID_VALUE, "name"), CusolverError);
}

// With SIMT_DEFERRED=1 the emulator runs work only when the program waits for it, and streams in any order.
class CudaContextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device.kind != DeviceKind::kCuda)
      GTEST_SKIP() << "no CUDA device, and this build does not emulate one";
    EXPECT_CUDA(cudaSetDevice(device.index));
    EXPECT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    arena.emplace(device);
  }
  void TearDown() override {
    for (float* array : arrays) EXPECT_CUDA(cudaFree(array));
    if (stream != nullptr) {
      EXPECT_CUDA(cudaStreamDestroy(stream));
    }
  }

  /// Device memory of the caller, filled with NaN.
  float* array(int64_t size) {
    float* pointer = nullptr;
    EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&pointer), size_t(size) * sizeof(float)));
    arrays.push_back(pointer);
    EXPECT_CUDA(cudaMemsetAsync(pointer, 0xff, size_t(size) * sizeof(float), stream));
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    return pointer;
  }
  static void queue_upload(float* to, const std::vector<float>& from, cudaStream_t on) {
    EXPECT_CUDA(cudaMemcpyAsync(to, from.data(), from.size() * sizeof(float), cudaMemcpyHostToDevice, on));
  }
  static void queue_download(std::vector<float>& to, const float* from, cudaStream_t on) {
    EXPECT_CUDA(cudaMemcpyAsync(to.data(), from, to.size() * sizeof(float), cudaMemcpyDeviceToHost, on));
  }
  ContextOptions options(CudaStream adopted) {
    return {.device = device, .stream = adopted, .memory = &*arena};
  }

  /// Uploads, runs and downloads are queued on `on` with a single wait at the end.
  void expect_order(cudaStream_t on) {
    constexpr int64_t kSize = kRows * kCols;
    const std::vector<float> k = random_uniform(kSize, 1), t = random_uniform(kSize, 2);
    const std::vector<float> expected = [&] {
      Context own(device);
      const Matrix<float> dk(own, k.data(), kRows, kCols), dt(own, t.data(), kRows, kCols);
      Matrix<float> gradient(own, kRows, kCols);
      Klot(own, kRows, kCols, kOptions).run(dk, dt, gradient);
      return gradient.download();
    }();
    float *student = array(kSize), *teacher = array(kSize), *gradient = array(kSize), *copy = array(kSize);
    const MatrixF student_view(student, kRows, kCols), teacher_view(teacher, kRows, kCols),
        gradient_view(gradient, kRows, kCols);
    std::vector<float> first(kSize), second(kSize);

    Context context(options(on));
    EXPECT_EQ(context.stream(), on);
    Klot klot(context, kRows, kCols, kOptions);
    const int64_t waits = context.synchronizations();
    queue_upload(student, k, on);
    queue_upload(teacher, t, on);
    klot.run(student_view, teacher_view, gradient_view);
    EXPECT_CUDA(cudaMemcpyAsync(copy, gradient, kSize * sizeof(float), cudaMemcpyDeviceToDevice, on));
    // The same with the sides exchanged, in the same memory.
    EXPECT_CUDA(cudaMemsetAsync(gradient, 0xff, kSize * sizeof(float), on));
    EXPECT_CUDA(cudaMemsetAsync(student, 0, kSize * sizeof(float), on));
    queue_upload(student, k, on);
    klot.run(student_view, teacher_view, gradient_view);
    queue_download(first, copy, on);
    queue_download(second, gradient, on);
    EXPECT_EQ(context.synchronizations(), waits);
    EXPECT_CUDA(cudaStreamSynchronize(on));
    EXPECT_EQ(first, expected);
    EXPECT_EQ(second, expected);
  }

  const Device device = testing::devices().back();
  cudaStream_t stream = nullptr;
  std::optional<Arena> arena;
  std::vector<float*> arrays;
};

TEST_F(CudaContextTest, WorkOnTheCallersStreamRunsInOrder) { expect_order(stream); }

TEST_F(CudaContextTest, TheDefaultStreamIsAStream) {
  const testing::DefaultStreamAllowed allowed;
  expect_order(nullptr);
  EXPECT_NE(Context(device).stream(), nullptr) << "without a stream, a context creates one";
}

TEST_F(CudaContextTest, ResultsAndStreamOutliveTheContext) {
  const int64_t n = 30;
  const std::vector<float> a = random_normal(n * n, 1);
  float *da = array(n * n), *dc = array(n * n);
  std::vector<float> result(n * n);
  {
    Context context(options(stream));
    queue_upload(da, a, stream);
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, MatrixF(da, n, n), MatrixF(da, n, n), 0.0f,
         MatrixF(dc, n, n));
  }
  EXPECT_THROW(Context({.device = device, .threads = -1, .stream = stream}), InvalidArgument);
  queue_download(result, dc, stream);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  std::vector<double> expected(n * n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      expected[i * n + j] =
          std::inner_product(a.begin() + i * n, a.begin() + (i + 1) * n, a.begin() + j * n, 0.0);
  EXPECT_WITHIN(relative_l1(result, expected), 1e-6);
}

TEST_F(CudaContextTest, ContextsOnOneStreamTakeTurns) {
  const int64_t n = 20;
  std::vector<float> identity(n * n);
  for (int64_t i = 0; i < n; ++i) identity[i * n + i] = 1;
  float* power[] = {array(n * n), array(n * n), array(n * n)};
  std::vector<float> result(n * n);
  Context first(options(stream)), second(options(stream));
  EXPECT_EQ(first.stream(), second.stream());
  queue_upload(power[0], identity, stream);
  const auto doubled = [&](Context& context, int from, int to) {
    const MatrixF x(power[from], n, n);
    gemm(context, Op::kNone, Op::kNone, 2.0f, x, MatrixF(power[0], n, n), 0.0f, MatrixF(power[to], n, n));
  };
  doubled(first, 0, 1);
  for (int turn = 0; turn < 4; ++turn) {
    doubled(second, 1, 2);
    doubled(first, 2, 1);
  }
  queue_download(result, power[1], stream);
  first.synchronize();  // waits for the work of both
  for (float& value : identity) value *= 512;
  EXPECT_EQ(result, identity);
}

// Loading cuBLAS takes a second and half a gigabyte, and not every machine has it.
TEST_F(CudaContextTest, LibrariesAreLoadedByTheFirstOperationThatNeedsThem) {
  if (!testing::is_emulated(device)) GTEST_SKIP() << "needs an emulated device, which counts handles";
  const int64_t before = simt::library_handles();
  Context context(device);
  const Matrix<float> k(context, random_uniform(kRows * kCols, 1).data(), kRows, kCols);
  Sinkhorn solver(context, kRows, kCols, SinkhornOptions{.epsilon = 0.05});
  solver.solve(k);
  Matrix<float> plan(context, kRows, kCols);
  solver.plan(0, k, plan);
  EXPECT_GT(solver.results()[0].iterations, 0);
  descend(context);  // KLOT and its gradient
  EXPECT_EQ(simt::library_handles() - before, 0);

  Matrix<float> product(context, kRows, kRows);
  for (int times = 0; times < 2; ++times) {
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, k, k, 0.0f, product);
    EXPECT_EQ(simt::library_handles() - before, 1) << "cuBLAS alone, and once";
  }
  const std::vector<double> symmetric = {2, 1, 1, 2};
  for (int times = 0; times < 2; ++times) {
    EXPECT_EQ(eigh(context, Matrix<double>(context, symmetric.data(), 2, 2)).values.size(), 2);
    EXPECT_EQ(simt::library_handles() - before, 2) << "cuSOLVER, too";
  }
  Context loaded(device);
  loaded.load_libraries();
  EXPECT_EQ(simt::library_handles() - before, 4);
  gemm(loaded, Op::kNone, Op::kTranspose, 1.0f, k, k, 0.0f, product);
  EXPECT_EQ(simt::library_handles() - before, 4);
  loaded.synchronize();
}

// Under ctest each test is a process of its own, so that these threads are the first to load the libraries.
TEST_F(CudaContextTest, ThreadsWithContextsOfTheirOwnLoadLibrariesAtOnce) {
  constexpr int64_t kSize = 12;
  constexpr int kThreads = 4;
  const auto work = [&](std::vector<float>& product, std::vector<double>& values) {
    Context context(device);
    const std::vector<float> x = random_uniform(kSize * kSize, 3);
    const Matrix<float> a(context, x.data(), kSize, kSize);
    Matrix<float> c(context, kSize, kSize);
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, a, a, 0.0f, c);
    product = c.download();
    const std::vector<double> wide(product.begin(), product.end());
    values = eigh(context, Matrix<double>(context, wide.data(), kSize, kSize)).values.download();
  };
  std::vector<float> products[kThreads];
  std::vector<double> values[kThreads];
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, std::ref(products[i]), std::ref(values[i]));
  for (std::thread& thread : threads) thread.join();

  const std::vector<float> x = random_uniform(kSize * kSize, 3);
  double trace = 0;  // of the product; the sum of its eigenvalues
  std::vector<double> expected(kSize * kSize);
  for (int64_t i = 0; i < kSize; ++i) {
    for (int64_t j = 0; j < kSize; ++j)
      for (int64_t l = 0; l < kSize; ++l)
        expected[i * kSize + j] += double{x[i * kSize + l]} * double{x[j * kSize + l]};
    trace += expected[i * kSize + i];
  }
  for (int i = 0; i < kThreads; ++i) {
    EXPECT_WITHIN(relative_l1(products[i], expected), 1e-6);
    EXPECT_WITHIN(std::abs(std::accumulate(values[i].begin(), values[i].end(), 0.0) - trace), 1e-5 * trace);
    EXPECT_EQ(values[i], values[0]);
  }
}

// The emulated cudaFree does not wait, and the next allocation gets the same memory. AddressSanitizer, which
// does not use it again, reports the access.
TEST_F(CudaContextTest, FreedMemoryIsNotWrittenLater) {
  const testing::WorkDeferred deferred;
  constexpr int64_t kSize = 1000;
  Context first(device), second(device);
  {
    Buffer<float> x(first, kSize);
    for (int times = 0; times < 100; ++times) first.fill_zero(x.data(), kSize * sizeof(float));
  }
  const std::vector<float> ones(kSize, 1.0f);
  const Buffer<float> y(second, ones);
  first.synchronize();
  EXPECT_EQ(y.download(), ones);
}

TEST_F(CudaContextTest, TheCallersStreamReachesTheResource) {
  RecordingResource resource(device);
  {
    Context context({.device = device, .stream = stream, .memory = &resource});
    descend(context);
  }
  EXPECT_EQ(resource.streams, std::set<CudaStream>{stream});
  EXPECT_TRUE(resource.live.empty());
}

}  // namespace lib_cuda_context_test
}  // namespace sotalign
#endif
