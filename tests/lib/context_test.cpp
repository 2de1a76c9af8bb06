// A context on the caller's memory resource, on the caller's stream, and on views of the caller's memory.
#include <gtest/gtest.h>

#include <map>
#include <new>
#include <numeric>
#include <set>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/ot/klot.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/error_message.h"
#include "support/strided.h"
#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include "support/default_stream.h"
#endif

namespace sotalign {
namespace {

using testing::EntropicOracle;
using testing::Layout;
using testing::random_normal;
using testing::random_uniform;
using testing::relative_l1;
using testing::Strided;

enum class Fault { kNull, kBadAlloc, kInt, kMisaligned };

/// Memory of another context, with a record of every call. One allocation can be made to fail.
class RecordingResource : public MemoryResource {
 public:
  explicit RecordingResource(Device device) : backing_(device) {}

  void* allocate(size_t bytes, size_t alignment, CudaStream stream) override {
    EXPECT_GT(bytes, 0u);
    EXPECT_EQ(alignment, 64u);
    if (faults_left > 0 && skipped++ == fault_at) {
      --faults_left;
      if (fault == Fault::kNull) return nullptr;
      if (fault == Fault::kBadAlloc) throw std::bad_alloc();
      if (fault == Fault::kInt) throw 7;
      char* pointer = static_cast<char*>(backing_.allocate(bytes + 4, "test")) + 4;
      record(pointer, {bytes, alignment, stream});
      return pointer;
    }
    void* pointer = backing_.allocate(bytes, "test");
    record(pointer, {bytes, alignment, stream});
    ++allocations;
    return pointer;
  }
  void deallocate(void* pointer, size_t bytes, size_t alignment, CudaStream stream) noexcept override {
    const auto found = live.find(pointer);
    ASSERT_TRUE(found != live.end()) << "returned twice, or not from here";
    EXPECT_EQ(found->second, (Request{bytes, alignment, stream}));
    live.erase(found);
    bytes_in_use -= static_cast<int64_t>(bytes);
    char* start = static_cast<char*>(pointer);
    backing_.deallocate(reinterpret_cast<uintptr_t>(start) % 64 == 0 ? start : start - 4);
  }
  int64_t available_bytes() const override { return 123'456; }

  /// Allocation number `at` from now on, from 0, fails in this way.
  void fail(Fault how, int64_t at) { fault = how, fault_at = at, skipped = 0, faults_left = 1; }

  struct Request {
    size_t bytes, alignment;
    CudaStream stream;
    bool operator==(const Request&) const = default;
  };
  std::map<void*, Request> live;
  std::set<CudaStream> streams;
  int64_t allocations = 0, bytes_in_use = 0, peak_bytes = 0;
  int faults_left = 0;

 private:
  void record(void* pointer, const Request& request) {
    live[pointer] = request;
    streams.insert(request.stream);
    bytes_in_use += static_cast<int64_t>(request.bytes);
    // The context does not count memory that it rejects.
    if (reinterpret_cast<uintptr_t>(pointer) % 64 == 0) peak_bytes = std::max(peak_bytes, bytes_in_use);
  }

  Context backing_;
  Fault fault = Fault::kNull;
  int64_t fault_at = 0, skipped = 0;
};

constexpr int64_t kRows = 40, kCols = 33;
const KlotOptions kOptions =
    KlotOptions{.epsilon_student = 0.07, .epsilon_teacher = 0.03}.with_both({.iterations = 12});

struct Steps {
  std::vector<double> values;
  std::vector<float> gradient;
  bool operator==(const Steps&) const = default;
};

/// Gradient descent on the student's affinity.
Steps descend(Context& context, int count = 3) {
  Steps steps;
  std::vector<float> k = random_uniform(kRows * kCols, 1);
  const std::vector<float> t = random_uniform(kRows * kCols, 2);
  Klot klot(context, kRows, kCols, kOptions);
  Matrix<float> student(context, kRows, kCols, "student"), gradient(context, kRows, kCols, "gradient");
  const Matrix<float> teacher(context, t.data(), kRows, kCols, "teacher");
  int64_t allocations = 0;
  for (int step = 0; step < count; ++step) {
    student.upload(k.data());
    klot.run(student, teacher, gradient);
    steps.values.push_back(klot.result().value);
    steps.gradient = gradient.download();
    for (size_t i = 0; i < k.size(); ++i) k[i] -= 0.5f * steps.gradient[i];
    if (step == 0) allocations = context.allocations();
  }
  EXPECT_EQ(context.allocations(), allocations) << "steps after the first allocate nothing";
  return steps;
}

class ContextTest : public ::testing::TestWithParam<Device> {
 protected:
  RecordingResource resource{GetParam()};
  const ContextOptions options{.device = GetParam(), .memory = &resource};
};
SOTALIGN_ON_EVERY_DEVICE(ContextTest);

TEST_P(ContextTest, AllMemoryComesFromTheResourceAndReturnsToIt) {
  {
    Context context(options);
    {
      Buffer<double> buffer(context, 5, "buffer");
      EXPECT_EQ(resource.live.at(buffer.data()),
                (RecordingResource::Request{5 * sizeof(double), 64, context.stream()}));
      Matrix<float> matrix(context, 3, 7), moved = std::move(matrix);
      Buffer<float> nothing(context, 0);
      EXPECT_EQ(resource.live.size(), 2u);
      Workspace workspace(context);
      workspace.take<float>(400'000);
      Workspace inner(context);
      inner.take<float>(300'000);
      EXPECT_EQ(resource.live.size(), 4u);
      EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    }
    // The workspace keeps its memory, as one piece.
    EXPECT_EQ(resource.live.size(), 1u);
    EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    EXPECT_GT(context.bytes_in_use(), 0);
    EXPECT_EQ(context.peak_bytes(), resource.peak_bytes);
    EXPECT_EQ(context.allocations(), resource.allocations);
    EXPECT_EQ(resource.streams, std::set<CudaStream>{context.stream()});
  }
  EXPECT_TRUE(resource.live.empty());
  EXPECT_EQ(resource.bytes_in_use, 0);
}

TEST_P(ContextTest, AMovedContextReturnsItsMemoryOnce) {
  {
    Context context(options);
    { Workspace(context).take<float>(10); }
    const Context moved(std::move(context));
    EXPECT_EQ(resource.live.size(), 1u);
    EXPECT_EQ(moved.bytes_in_use(), resource.bytes_in_use);
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, ResultsDoNotDependOnTheResource) {
  Context with_defaults(GetParam());
  const Steps expected = descend(with_defaults);
  {
    Context context(options);
    EXPECT_EQ(descend(context), expected);
    EXPECT_EQ(context.allocations(), resource.allocations);
    EXPECT_EQ(context.allocations(), with_defaults.allocations());
    EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    EXPECT_EQ(context.peak_bytes(), resource.peak_bytes);
    EXPECT_EQ(context.peak_bytes(), with_defaults.peak_bytes());
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, ContextsShareAResource) {
  {
    Context first(options), second(options);
    const Steps expected = descend(first);
    EXPECT_EQ(descend(second), expected);
    EXPECT_EQ(first.bytes_in_use() + second.bytes_in_use(), resource.bytes_in_use);
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, AvailableBytesAreThoseOfTheResource) {
  EXPECT_EQ(Context(options).available_bytes(), 123'456);
  struct Silent final : RecordingResource {
    using RecordingResource::RecordingResource;
    int64_t available_bytes() const override { return MemoryResource::available_bytes(); }
  } silent(GetParam());
  EXPECT_EQ(Context({.device = GetParam(), .memory = &silent}).available_bytes(), -1);
}

TEST_P(ContextTest, FailureOfTheResourceNamesThePurpose) {
  Context context(options);
  const Buffer<float> kept(context, std::vector<float>{1, 2, 3});
  const int64_t before = context.bytes_in_use();
  const auto message = [&](auto exception) -> std::string {
    try {
      Buffer<float> buffer(context, int64_t{3} << 20, "affinity");
    } catch (const decltype(exception)& error) {
      return error.what();
    }
    return "no exception";
  };
  const std::string out_of_memory = "out of memory on " + to_string(GetParam()) +
                                    ": 0.01 GiB asked for as affinity, 0.00 GiB in use; the memory resource";
  resource.fail(Fault::kNull, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + " returned null");
  resource.fail(Fault::kBadAlloc, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + ": std::bad_alloc");
  resource.fail(Fault::kInt, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + " threw an exception");
  resource.fail(Fault::kMisaligned, 0);
  const std::string misaligned = message(InvalidArgument(""));
  EXPECT_TRUE(misaligned.starts_with(
      "memory resource: expected memory aligned to 64 bytes for affinity, found address 0x"))
      << misaligned;

  EXPECT_EQ(context.bytes_in_use(), before);
  EXPECT_EQ(resource.bytes_in_use, before) << "misaligned memory is returned";
  EXPECT_EQ(resource.live.size(), 1u);
  EXPECT_EQ(kept.download(), (std::vector<float>{1, 2, 3}));
}

// Every allocation fails once, in the constructors and in the runs.
TEST_P(ContextTest, NothingLeaksWhereAnAllocationFails) {
  const Steps expected = [&] {
    Context with_defaults(GetParam());
    return descend(with_defaults, 1);
  }();
  for (const Fault fault : {Fault::kNull, Fault::kBadAlloc, Fault::kInt, Fault::kMisaligned}) {
    int64_t failures = 0;
    for (bool failed = true; failed; ++failures) {
      SCOPED_TRACE("fault " + std::to_string(int(fault)) + ", allocation " + std::to_string(failures));
      {
        Context context(options);
        resource.fail(fault, failures);
        failed = false;
        try {
          descend(context, 1);
        } catch (const OutOfMemory&) {
          failed = fault != Fault::kMisaligned;
          EXPECT_TRUE(failed);
        } catch (const InvalidArgument&) {
          failed = fault == Fault::kMisaligned;
          EXPECT_TRUE(failed);
        }
        EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
        EXPECT_EQ(resource.faults_left == 0, failed);
        resource.faults_left = 0;
        if (failed && (failures == 0 || failures == 3)) {
          EXPECT_EQ(descend(context, 1), expected) << "the context is still usable";
        }
      }
      ASSERT_TRUE(resource.live.empty());
      ASSERT_LT(failures, 200);
    }
    EXPECT_GT(failures, 5);
  }
}

// At the end of its outermost scope a workspace becomes one piece.
TEST_P(ContextTest, AWorkspaceThatCannotBecomeOnePieceIsAllocatedAgain) {
  Context context(options);
  const auto use = [&](Workspace& workspace) {
    for (const int64_t count : {400'000, 300'000}) EXPECT_NE(workspace.take<float>(count), nullptr);
  };
  {
    Workspace workspace(context);
    use(workspace);
    EXPECT_EQ(resource.live.size(), 2u);
    resource.fail(Fault::kNull, 0);
  }
  EXPECT_EQ(resource.faults_left, 0);
  EXPECT_TRUE(resource.live.empty());
  EXPECT_EQ(context.bytes_in_use(), 0);
  Workspace workspace(context);
  use(workspace);
  EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
}

TEST_P(ContextTest, AStreamNeedsACudaDevice) {
  if (GetParam().kind != DeviceKind::kCpu) GTEST_SKIP() << "a CUDA context accepts a stream";
  const char* expected = "stream: expected none with device cpu, found a CUDA stream";
  int not_a_stream = 0;
  for (const CudaStream stream : {CudaStream(nullptr), reinterpret_cast<CudaStream>(&not_a_stream)})
    EXPECT_EQ(testing::error_message([&] { Context context({.stream = stream}); }), expected);
  EXPECT_EQ(Context(options).stream(), nullptr);
}

// Caller-owned memory comes from another context. The gaps of its matrices are NaN, which would spread to any
// result that read them, and must still be there at the end.
class ContextViewTest : public testing::DeviceTest {
 protected:
  Context owner{GetParam()};
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  static MatrixF view(Strided<float>& matrix, int64_t rows, int64_t cols) {
    return {matrix.data(), rows, cols, matrix.stride()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(ContextViewTest);

TEST_P(ContextViewTest, GemmReadsAndWritesOnlyTheView) {
  const int64_t m = 33, n = 17, k = 31;
  const std::vector<float> a = random_normal(m * k, 1), b = random_normal(k * n, 2),
                           c = random_normal(m * n, 3);
  for (const Layout layout : testing::layouts(n))
    for (const float beta : {0.0f, 0.5f}) {
      SCOPED_TRACE("offset " + std::to_string(layout.offset) + ", gap " + std::to_string(layout.gap));
      std::vector<double> expected(c.size());
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t l = 0; l < k; ++l) sum += double(a[i * k + l]) * double(b[l * n + j]);
          expected[i * n + j] = 2 * sum + beta * c[i * n + j];
        }
      Strided<float> da(owner, a, m, k, wider(layout)), db(owner, b, k, n, wider(wider(layout)));
      // With beta = 0 the old content, NaN, is not read.
      Strided<float> dc =
          beta == 0 ? Strided<float>(owner, m, n, layout, kNan) : Strided<float>(owner, c, m, n, layout);
      gemm(context, Op::kNone, Op::kNone, 2.0f, view(da, m, k), view(db, k, n), beta, view(dc, m, n));
      context.synchronize();
      EXPECT_WITHIN(relative_l1(dc.download(), expected), 1e-6);
      EXPECT_EQ(da.download(), a);
      EXPECT_EQ(db.download(), b);
    }
}

TEST_P(ContextViewTest, SinkhornReadsAndWritesOnlyTheView) {
  const std::vector<float> k = random_uniform(kRows * kCols, 4);
  const std::vector<double> expected = EntropicOracle(k, kRows, kCols, 0.1).solve(20, false).plan();
  for (const SinkhornForm form : {SinkhornForm::kLogDomain, SinkhornForm::kScaling})
    for (const Layout layout : testing::layouts(kCols)) {
      SCOPED_TRACE("form " + std::to_string(int(form)) + ", offset " + std::to_string(layout.offset) +
                   ", gap " + std::to_string(layout.gap));
      Strided<float> affinity(owner, k, kRows, kCols, layout), plan(owner, kRows, kCols, layout, kNan);
      Sinkhorn sinkhorn(context, kRows, kCols, {.epsilon = 0.1, .solve = {.iterations = 20, .form = form}});
      const MatrixF input = view(affinity, kRows, kCols);
      sinkhorn.solve(input);
      sinkhorn.plan(0, input, view(plan, kRows, kCols));
      context.synchronize();
      EXPECT_WITHIN(relative_l1(plan.download(), expected), 2e-5);
      EXPECT_EQ(affinity.download(), k);
      sinkhorn.plan(0, input, input);
      context.synchronize();
      EXPECT_WITHIN(relative_l1(affinity.download(), expected), 2e-5);
    }
}

#ifdef SOTALIGN_WITH_CUDA

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

TEST_F(CudaContextTest, TheCallersStreamReachesTheResource) {
  RecordingResource resource(device);
  {
    Context context({.device = device, .stream = stream, .memory = &resource});
    descend(context);
  }
  EXPECT_EQ(resource.streams, std::set<CudaStream>{stream});
  EXPECT_TRUE(resource.live.empty());
}

#endif

}  // namespace
}  // namespace sotalign
