// The twins of the CUDA runtime: memory, copies, streams, events, and error messages.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <thread>

#include "simt/support.h"

namespace simt::testing {
namespace simt_runtime_test {

class RuntimeTest : public EmulatorTest {};
using RuntimeDeathTest = RuntimeTest;

// --- devices and errors ---

TEST_F(RuntimeTest, WithoutADevice) {
  config.devices = 0;
  int count = 77;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 77);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorNoDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNoDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  void* pointer = nullptr;
  cudaStream_t another = nullptr;
  EXPECT_EQ(cudaSetDevice(0), cudaErrorNoDevice);
  EXPECT_EQ(cudaMalloc(&pointer, 4), cudaErrorNoDevice);
  EXPECT_EQ(cudaStreamCreateWithFlags(&another, cudaStreamNonBlocking), cudaErrorNoDevice);
  cudaGetLastError();
}

TEST_F(RuntimeTest, Devices) {
  config.devices = 2;
  int count = 0, device = -1, value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 1);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(-1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  config.multiprocessors = 3;
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0), cudaSuccess);
  EXPECT_EQ(value, 3);
  EXPECT_CONTAINS(error_of([&] { cudaDeviceGetAttribute(&value, cudaDevAttrIntegrated, 0); }),
                  "is not emulated");
  cudaDeviceProp properties{};
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaSuccess);
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.multiProcessorCount, 3);
  EXPECT_EQ(properties.totalGlobalMem, config.memory_bytes);
}

TEST_F(RuntimeTest, ErrorsHaveTheirNames) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorNoDevice), "no CUDA-capable device is detected");
  EXPECT_EQ(cudaFuncSetAttribute(nullptr, cudaFuncAttributeMaxDynamicSharedMemorySize, 99 * 1024),
            cudaSuccess);
  EXPECT_EQ(cudaFuncSetAttribute(nullptr, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024),
            cudaErrorInvalidValue);
  cudaGetLastError();
}

// --- memory ---

TEST_F(RuntimeTest, MemoryIsAlignedDistinctAndNan) {
  const Array<float> a(1), b(63), c(1000);
  for (const float* p : {a.data(), b.data(), c.data()}) EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 256, 0u);
  EXPECT_NE(a.data(), b.data());
  for (const float value : c.download(stream)) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(cudaMemsetAsync(c.data() + 2, 0, 12, stream), cudaSuccess);
  const std::vector<float> values = c.download(stream);
  EXPECT_TRUE(std::isnan(values[1]) && std::isnan(values[5]));
  EXPECT_TRUE(values[2] == 0 && values[4] == 0);
}

TEST_F(RuntimeTest, FreedMemoryIsUsedAgainAndNanAgain) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Array<float>>> arrays;
    for (size_t i = 0; i < 50; ++i) {
      arrays.push_back(
          std::make_unique<Array<float>>(stream, std::vector<float>(1 + 100 * i, static_cast<float>(i))));
      if (i % 3 == 1) arrays[i / 2] = std::make_unique<Array<float>>(1 + 77 * i);
    }
    for (size_t i = 0; i < 50; ++i)
      for (const float value : arrays[i]->download(stream))
        ASSERT_TRUE(value == static_cast<float>(i) || std::isnan(value)) << i;
  }
  EXPECT_EQ(live_objects().size(), 1u);  // the stream
}

TEST_F(RuntimeTest, MemoryIsLimited) {
  config.memory_bytes = size_t{1} << 20;
  size_t free = 0, total = 0;
  void *first = nullptr, *second = &first;
  EXPECT_EQ(cudaMalloc(&first, 600'000), cudaSuccess);
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(total, size_t{1} << 20);
  EXPECT_EQ(free, (size_t{1} << 20) - 600'000);
  EXPECT_EQ(cudaMalloc(&second, 600'000), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, std::numeric_limits<size_t>::max()), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, std::numeric_limits<size_t>::max() - 700'000), cudaErrorMemoryAllocation);
  cudaGetLastError();
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 600'000), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 0), cudaSuccess);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
}

TEST_F(RuntimeTest, CopiesAndSetsOutOfBounds) {
  const Array<float> a(100), b(100);
  std::vector<float> host(200);
  const auto copy = [&](void* to, const void* from, size_t count, cudaMemcpyKind kind) {
    return error_of([&] { cudaMemcpyAsync(to, from, count * sizeof(float), kind, stream); });
  };
  EXPECT_CONTAINS(copy(a.data(), host.data(), 101, cudaMemcpyHostToDevice),
                  "to the device, destination: 404 bytes where the allocation of 400 bytes has 400 left");
  EXPECT_CONTAINS(copy(host.data(), a.data() + 1, 100, cudaMemcpyDeviceToHost), "400 bytes has 396 left");
  EXPECT_CONTAINS(copy(a.data(), b.data() + 50, 51, cudaMemcpyDeviceToDevice),
                  "on the device, source: 204 bytes");
  EXPECT_CONTAINS(copy(b.data() + 50, a.data(), 51, cudaMemcpyDeviceToDevice), "on the device, destination");
  EXPECT_CONTAINS(copy(a.data() + 1, a.data(), 50, cudaMemcpyDeviceToDevice), "overlap");
  EXPECT_CONTAINS(copy(a.data() - 1, host.data(), 1, cudaMemcpyHostToDevice), "destination");
  // The wrong kind of copy.
  EXPECT_CONTAINS(copy(host.data(), host.data() + 9, 1, cudaMemcpyHostToDevice),
                  "not a pointer into device memory");
  EXPECT_CONTAINS(copy(a.data(), b.data(), 1, cudaMemcpyHostToDevice),
                  "device memory where the host's is expected");
  EXPECT_CONTAINS(copy(a.data(), b.data(), 1, cudaMemcpyDeviceToHost),
                  "device memory where the host's is expected");
  EXPECT_CONTAINS(copy(a.data(), host.data(), 1, cudaMemcpyDeviceToDevice),
                  "not a pointer into device memory");
  EXPECT_CONTAINS(copy(a.data(), b.data(), 1, cudaMemcpyDefault), "kind");
  EXPECT_CONTAINS(error_of([&] { cudaMemsetAsync(a.data(), 0, 401, stream); }), "cudaMemsetAsync: 401 bytes");
  EXPECT_CONTAINS(error_of([&] { cudaMemsetAsync(host.data(), 0, 4, stream); }),
                  "not a pointer into device memory");
  // A copy of nothing is always in bounds.
  EXPECT_EQ(cudaMemcpyAsync(nullptr, nullptr, 0, cudaMemcpyHostToDevice, stream), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(a.data(), a.data() + 50, 200, cudaMemcpyDeviceToDevice, stream), cudaSuccess);
}

TEST_F(RuntimeTest, PointersThatAreNotAllocations) {
  const Array<float> a(100);
  float host = 0;
  void* freed = nullptr;
  EXPECT_EQ(cudaMalloc(&freed, 4), cudaSuccess);
  EXPECT_EQ(cudaFree(freed), cudaSuccess);
  for (void* pointer : {static_cast<void*>(&host), static_cast<void*>(a.data() + 1), freed})
    EXPECT_CONTAINS(error_of([&] { cudaFree(pointer); }), "cudaFree of a pointer that is not an allocation");
}

// --- streams and events ---

__global__ void add_kernel(const float* x, float* y, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) y[i] += x[i];
}
__global__ void empty_kernel() {}
__global__ void divergent_kernel() {
  if (threadIdx.x == 0) __syncthreads();
}

TEST_F(RuntimeTest, DestroyedStreamsAndEvents) {
  cudaStream_t old_stream = nullptr;
  cudaEvent_t old_event = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&old_stream, cudaStreamNonBlocking), cudaSuccess);
  EXPECT_EQ(cudaEventCreate(&old_event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(old_stream), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(old_event), cudaSuccess);
  const Array<float> a(1);
  const char* gone = "a stream that does not exist (any more)";
  EXPECT_CONTAINS(error_of([&] { launch("empty", empty_kernel, 1, 1, 0, old_stream); }), gone);
  EXPECT_CONTAINS(error_of([&] { cudaMemsetAsync(a.data(), 0, 4, old_stream); }), gone);
  EXPECT_CONTAINS(error_of([&] { cudaMemcpyAsync(a.data(), &gone, 4, cudaMemcpyHostToDevice, old_stream); }),
                  gone);
  EXPECT_CONTAINS(error_of([&] { cudaStreamSynchronize(old_stream); }), gone);
  EXPECT_CONTAINS(error_of([&] { cudaStreamDestroy(old_stream); }), gone);
  EXPECT_CONTAINS(error_of([&] { cudaEventRecord(old_event, stream); }),
                  "an event that does not exist (any more)");
  EXPECT_CONTAINS(error_of([&] { launch("empty", empty_kernel, 1, 1, 0, nullptr); }),
                  "on the default stream");
}

TEST_F(RuntimeTest, TheDefaultStreamIsAStreamWhereItIsAllowed) {
  config.default_stream = config.deferred = true;
  const Array<float> array(stream, {0, 0});
  const std::vector<float> values = {1, 2};
  EXPECT_EQ(cudaMemcpyAsync(array.data(), values.data(), 8, cudaMemcpyHostToDevice, nullptr), cudaSuccess);
  EXPECT_EQ(array.download(nullptr), values);
  EXPECT_EQ(cudaMemsetAsync(array.data(), 0, 8, nullptr), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(array.download(stream), (std::vector<float>{0, 0}));
}

TEST_F(RuntimeTest, EventsMeasureTime) {
  for (const bool deferred : {false, true}) {
    config.deferred = deferred;
    cudaEvent_t first = nullptr, last = nullptr;
    float milliseconds = -1;
    EXPECT_EQ(cudaEventCreate(&first), cudaSuccess);
    EXPECT_EQ(cudaEventCreateWithFlags(&last, cudaEventDefault), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, first, last), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventRecord(first, stream), cudaSuccess);
    launch("empty", empty_kernel, 1000, 64, 0, stream);
    EXPECT_EQ(cudaEventRecord(last, stream), cudaSuccess);
    if (deferred) {
      EXPECT_EQ(cudaEventElapsedTime(&milliseconds, first, last), cudaErrorNotReady);
    }
    EXPECT_EQ(cudaEventSynchronize(last), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, first, last), cudaSuccess);
    EXPECT_GT(milliseconds, 0);
    EXPECT_EQ(cudaEventDestroy(first), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(last), cudaSuccess);
    cudaGetLastError();
  }
}

TEST_F(RuntimeTest, DeferredWorkWaitsForTheProgram) {
  const Array<float> x(stream, {1}), y(stream, {1});
  std::vector<float> host(1);
  const auto download = [&] {
    cudaMemcpyAsync(host.data(), y.data(), 4, cudaMemcpyDeviceToHost, stream);
    return host[0];
  };
  EXPECT_EQ(download(), 1.0f);
  config.deferred = true;
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  EXPECT_EQ(download(), 1.0f);  // too early
  stream.synchronize();
  EXPECT_EQ(host[0], 2.0f);
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(y.download(stream)[0], 3.0f);
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  config.deferred = false;
  EXPECT_EQ(download(), 4.0f);  // queued work is not lost
}

TEST_F(RuntimeTest, FreeingDoesNotWait) {
  config.deferred = true;
  const Array<float> x(stream, {1}), y(stream, {1});
  void* other = nullptr;
  EXPECT_EQ(cudaMalloc(&other, 4), cudaSuccess);
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  const int64_t before = counters().launches;
  EXPECT_EQ(cudaFree(other), cudaSuccess);
  EXPECT_EQ(counters().launches, before);
  EXPECT_EQ(y.download(stream)[0], 2.0f);
}

TEST_F(RuntimeTest, DestroyingAStreamFinishesDeferredWork) {
  config.deferred = true;
  const Array<float> x(stream, {1}), y(stream, {1});
  const int64_t before = counters().launches;
  {
    const Stream short_lived;
    launch("add", add_kernel, 1, 32, 0, short_lived, x.data(), y.data(), 1);
    EXPECT_EQ(counters().launches, before);
  }
  EXPECT_EQ(counters().launches, before + 1);
  EXPECT_EQ(y.download(stream)[0], 2.0f);
}

/// Runs y += x on one stream and z += y on another; returns in how many of 20 orders z is wrong.
int wrong_orders(bool wait) {
  int wrong = 0;
  for (config.seed = 1; config.seed <= 20; ++config.seed) {
    const Stream first, second;
    const Array<float> x(first, {2}), y(first, {1}), z(first, {0});
    cudaEvent_t event = nullptr;
    EXPECT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    launch("add", add_kernel, 1, 32, 0, first, x.data(), y.data(), 1);
    EXPECT_EQ(cudaEventRecord(event, first), cudaSuccess);
    if (wait) {
      EXPECT_EQ(cudaStreamWaitEvent(second, event, 0), cudaSuccess);
    }
    launch("add", add_kernel, 1, 32, 0, second, y.data(), z.data(), 1);
    wrong += z.download(second)[0] == 3.0f ? 0 : 1;
    first.synchronize();  // before its arrays are freed
    EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  }
  return wrong;
}

TEST_F(RuntimeTest, ForgottenWaitForAnotherStreamShows) {
  EXPECT_EQ(wrong_orders(false), 0);  // correct if work runs at once
  config.deferred = true;
  EXPECT_GE(wrong_orders(false), 5);
  EXPECT_EQ(wrong_orders(true), 0);
}

TEST_F(RuntimeTest, ErrorsOfDeferredWorkComeLater) {
  config.deferred = true;
  const Array<float> x(stream, {1}), y(stream, {1});
  launch("divergent", divergent_kernel, 1, 2, 0, stream);
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  EXPECT_CONTAINS(error_of([&] { cudaStreamSynchronize(stream); }), "kernel divergent");
  EXPECT_EQ(y.download(stream)[0], 2.0f);  // the emulator continues
}

TEST_F(RuntimeTest, SchedulesRestart) {
  config.seed = 7;
  const auto order = [&] {
    // The thread that comes first of 64, in each of eight launches.
    std::vector<int> firsts;
    for (int i = 0; i < 8; ++i) {
      const Array<int> winner(stream, {0});
      launch(
          "order", +[](int* first) { atomicCAS(first, 0, static_cast<int>(threadIdx.x) + 1); }, 1, 64, 0,
          stream, winner.data());
      firsts.push_back(winner.download(stream)[0]);
    }
    return firsts;
  };
  restart_schedule();
  const std::vector<int> once = order(), later = order();
  restart_schedule();
  EXPECT_EQ(order(), once);
  EXPECT_NE(later, once);
  config.seed = 8;
  restart_schedule();
  EXPECT_NE(order(), once);
}

TEST_F(RuntimeTest, SeveralThreadsOfTheHost) {
  const auto work = [] {
    const Stream own;
    const Array<float> x(own, std::vector<float>(100, 1.0f)), y(own, std::vector<float>(100, 0.0f));
    for (int i = 0; i < 20; ++i) launch("add", add_kernel, 1, 64, 0, own, x.data(), y.data(), 100);
    EXPECT_EQ(y.download(own), std::vector<float>(100, 20.0f));
  };
  std::thread other(work);
  work();
  other.join();
}

TEST_F(RuntimeTest, CountsWhatIsDone) {
  const Counters before = counters();
  {
    const Array<float> x(stream, {1, 2}), y(2);
    cudaMemcpyAsync(y.data(), x.data(), 8, cudaMemcpyDeviceToDevice, stream);
    cudaMemsetAsync(y.data(), 0, 4, stream);
    launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 2);
    y.download(stream);
  }
  const Counters after = counters();
  EXPECT_EQ(after.mallocs - before.mallocs, 2);
  EXPECT_EQ(after.frees - before.frees, 2);
  EXPECT_EQ(after.copies_to_device - before.copies_to_device, 1);
  EXPECT_EQ(after.copies_to_host - before.copies_to_host, 1);
  EXPECT_EQ(after.copies_on_device - before.copies_on_device, 1);
  EXPECT_EQ(after.memsets - before.memsets, 1);
  EXPECT_EQ(after.launches - before.launches, 1);
  EXPECT_EQ(after.synchronisations - before.synchronisations, 2);
}

TEST_F(RuntimeTest, PinnedMemoryIsReadAfterTheEventOfItsCopy) {
  config.deferred = true;
  const Array<float> x(stream, {1}), y(stream, {2});
  void* pinned = nullptr;
  EXPECT_EQ(cudaHostAlloc(&pinned, sizeof(float), cudaHostAllocDefault), cudaSuccess);
  EXPECT_EQ(live_objects().size(), 4u);  // the stream and three pieces of memory
  cudaEvent_t copied = nullptr;
  EXPECT_EQ(cudaEventCreateWithFlags(&copied, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(pinned, y.data(), sizeof(float), cudaMemcpyDeviceToHost, stream), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(copied, stream), cudaSuccess);
  launch("add", add_kernel, 1, 32, 0, stream, x.data(), y.data(), 1);
  EXPECT_TRUE(std::isnan(*static_cast<float*>(pinned)));  // too early: what fills new memory
  EXPECT_EQ(cudaEventSynchronize(copied), cudaSuccess);
  EXPECT_EQ(*static_cast<float*>(pinned), 2.0f);  // before the kernel
  EXPECT_EQ(y.download(stream)[0], 3.0f);
  EXPECT_EQ(cudaEventDestroy(copied), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
  EXPECT_CONTAINS(error_of([&] { cudaFreeHost(pinned); }), "not an allocation");
}

TEST_F(RuntimeTest, PinnedMemoryRunsOut) {
  config.pinned_bytes = 64;
  void* pinned = nullptr;
  EXPECT_EQ(cudaHostAlloc(&pinned, 65, cudaHostAllocDefault), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaHostAlloc(&pinned, 64, cudaHostAllocDefault), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

// --- leaks ---

TEST_F(RuntimeTest, LiveObjectsAreNamed) {
  const std::string made_here = ", made in RuntimeTest.LiveObjectsAreNamed";
  EXPECT_EQ(live_objects(), std::vector<std::string>{"a stream" + made_here});
  cudaEvent_t event = nullptr;
  EXPECT_EQ(cudaEventCreate(&event), cudaSuccess);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1234), cudaSuccess);
  std::vector<std::string> live = live_objects();
  EXPECT_EQ(live.size(), 3u);
  for (const std::string name : {"a stream", "an event", "1234 bytes of device memory"})
    EXPECT_EQ(std::count(live.begin(), live.end(), name + made_here), 1) << name;
  cudaFree(memory);
  cudaEventDestroy(event);
  EXPECT_EQ(live_objects().size(), 1u);
}

// Run by LeaksFailTheProcess, in its own process.
TEST(LeakChild, DISABLED_Leaks) {
  static void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 4321), cudaSuccess);
}
TEST(LeakChild, DISABLED_FreesAtTheEnd) {
  static const Array<float> memory(10);
  EXPECT_NE(memory.data(), nullptr);
}

struct ChildResult {
  int exit_code;
  std::string output;
};
ChildResult run_child(const std::string& arguments, const std::string& environment = "") {
  char path[4096] = {};
  EXPECT_GT(readlink("/proc/self/exe", path, sizeof path - 1), 0);
  const std::string command = environment + " '" + path + "' " + arguments + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  ChildResult result{-1, ""};
  if (pipe == nullptr) return result;
  char chunk[4096];
  while (const size_t bytes = std::fread(chunk, 1, sizeof chunk, pipe)) result.output.append(chunk, bytes);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

TEST_F(RuntimeTest, LeaksFailTheProcess) {
  const std::string run = "--gtest_also_run_disabled_tests --gtest_filter=LeakChild.DISABLED_";
  const ChildResult leaks = run_child(run + "Leaks");
  EXPECT_EQ(leaks.exit_code, 1) << leaks.output;
  EXPECT_CONTAINS(leaks.output, "[  PASSED  ] 1 test");
  EXPECT_CONTAINS(leaks.output,
                  "simt: leaked: 4321 bytes of device memory, made in LeakChild.DISABLED_Leaks");
  const ChildResult frees = run_child(run + "FreesAtTheEnd");
  EXPECT_EQ(frees.exit_code, 0) << frees.output;
  EXPECT_EQ(run_child("--gtest_list_tests").exit_code, 0);
}

// A death test's copy of the process exits without freeing the test's memory.
TEST_F(RuntimeDeathTest, MemoryOfTheTestIsNoLeak) {
  const Array<float> memory(10);
  for (const char* style : {"fast", "threadsafe"}) {
    GTEST_FLAG_SET(death_test_style, style);
    EXPECT_EXIT(std::exit(0), ::testing::ExitedWithCode(0), "");
  }
  GTEST_FLAG_SET(death_test_style, "fast");
}

// Run by EnvironmentGivesTheFirstSettings, in its own process.
TEST(EnvironmentChild, DISABLED_Settings) {
  EXPECT_EQ(config.seed, 123456789012u);
  EXPECT_TRUE(config.deferred);
  EXPECT_EQ(config.devices, 3);
  EXPECT_FALSE(config.guard);
  ADD_FAILURE() << "the end of the test";
}

TEST_F(RuntimeTest, EnvironmentGivesTheFirstSettings) {
  const ChildResult child = run_child("--gtest_also_run_disabled_tests --gtest_filter=EnvironmentChild.*",
                                      "SIMT_SEED=123456789012 SIMT_DEFERRED=1 SIMT_DEVICES=3 SIMT_GUARD=0");
  EXPECT_EQ(child.exit_code, 1);
  EXPECT_CONTAINS(child.output, "the end of the test");
  EXPECT_EQ(child.output.find("Expected"), std::string::npos) << child.output;
  EXPECT_EQ(child.output.find("Actual"), std::string::npos) << child.output;
  EXPECT_CONTAINS(child.output, "simt: the test failed with SIMT_SEED=123456789012 SIMT_DEFERRED=1");
}

}  // namespace simt_runtime_test
}  // namespace simt::testing
