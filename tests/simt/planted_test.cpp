// Bugs planted in kernels. The emulator must detect each one, and the correct kernel next to them must pass.
#include <functional>
#include <numeric>

#include "simt/support.h"

#if defined(__SANITIZE_THREAD__)
// A race ends the process at once, so that a death test catches it.
extern "C" [[gnu::visibility("default")]] const char* __tsan_default_options();  // for the runtime library
extern "C" const char* __tsan_default_options() { return "halt_on_error=1"; }
#endif

namespace simt::testing {
namespace simt_planted_test {

constexpr unsigned kFull = 0xffffffffu;
constexpr unsigned kThreads = 256;

enum class Bug { kNone, kNoBarrier, kNoFirstBarrier, kNoWarpBarrier };

// Sums 256 values by a tree in shared memory; a single warp does the last five levels.
template <Bug bug>
__global__ void sum_kernel(const float* x, float* result) {
  SOTALIGN_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  if (bug != Bug::kNoFirstBarrier) __syncthreads();
  for (unsigned half = kThreads / 2; half >= 32; half /= 2) {
    if (i < half) values[i] += values[i + half];
    if (bug != Bug::kNoBarrier) __syncthreads();
  }
  if (i < 32) {
    for (unsigned half = 16; half > 0; half /= 2) {
      const float other = values[(i + half) % 32];
      if (bug != Bug::kNoWarpBarrier) __syncwarp();
      values[i] += other;
      if (bug != Bug::kNoWarpBarrier) __syncwarp();
    }
  }
  if (i == 0) *result = values[0];
}

class PlantedTest : public EmulatorTest {
 protected:
  template <Bug bug>
  float sum() const {
    std::vector<float> x(kThreads);
    std::iota(x.begin(), x.end(), 0.0f);
    const Array<float> input(stream, x), result(1);
    launch("sum", sum_kernel<bug>, 1, kThreads, 0, stream, input.data(), result.data());
    return result.download(stream)[0];
  }
  template <Bug bug>
  int wrong_of_20_schedules() {
    int wrong = 0;
    for (config.seed = 1; config.seed <= 20; ++config.seed) wrong += sum<bug>() == 32640.0f ? 0 : 1;
    return wrong;
  }
  /// Expects wrong results in random orders or, under ThreadSanitizer, a report that names this file.
  template <Bug bug>
  void expect_caught() {
    if (kThreadSanitizer) {
      EXPECT_DEATH(sum<bug>(), "data race.*sum_kernel.*planted_test.cpp");
    } else {
      EXPECT_GE(wrong_of_20_schedules<bug>(), 10);
    }
  }

  /// The error of a launch. A correct kernel must still run after it.
  template <class... Parameters, class... Arguments>
  std::string launch_error(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                           Arguments... arguments) {
    const std::string error =
        error_of([&] { launch("planted", kernel, grid, block, shared, stream, arguments...); });
    EXPECT_EQ(sum<Bug::kNone>(), 32640.0f);
    return error;
  }
};
using PlantedDeathTest = PlantedTest;

// --- races ---

TEST_F(PlantedTest, CorrectKernelIsRightInEveryOrder) {
  EXPECT_EQ(sum<Bug::kNone>(), 32640.0f);
  EXPECT_EQ(wrong_of_20_schedules<Bug::kNone>(), 0);
}
TEST_F(PlantedDeathTest, MissingBarrier) { expect_caught<Bug::kNoBarrier>(); }
TEST_F(PlantedDeathTest, MissingBarrierAfterTheLoad) { expect_caught<Bug::kNoFirstBarrier>(); }
TEST_F(PlantedDeathTest, ImplicitWarpSynchrony) { expect_caught<Bug::kNoWarpBarrier>(); }

// A shuffle does not order memory: on a device the neighbour's value may not have arrived. A random order
// does not expose this, because all lanes have arrived before the first goes on.
__global__ void shuffle_as_barrier_kernel(int* result) {
  SOTALIGN_SHARED(int, values, [32]);
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  __shfl_sync(kFull, 0, 0);
  result[threadIdx.x] = values[31 - threadIdx.x];
}
TEST_F(PlantedDeathTest, ShuffleTakenForABarrier) {
  if (!kThreadSanitizer) GTEST_SKIP() << "needs ThreadSanitizer";
  const Array<int> result(32);
  EXPECT_DEATH(launch("planted", shuffle_as_barrier_kernel, 1, 32, 0, stream, result.data()),
               "data race.*shuffle_as_barrier_kernel.*planted_test.cpp");
}

// Nothing orders blocks among themselves.
__global__ void sum_of_blocks_kernel(int* total) {
  if (threadIdx.x == 0) *total += static_cast<int>(blockIdx.x);
}
TEST_F(PlantedDeathTest, BlocksThatWriteTheSamePlace) {
  if (!kThreadSanitizer) GTEST_SKIP() << "needs ThreadSanitizer";
  const Array<int> total(stream, {0});
  EXPECT_DEATH(launch("planted", sum_of_blocks_kernel, 4, 64, 0, stream, total.data()),
               "data race.*sum_of_blocks_kernel.*planted_test.cpp");
}

// One block reads what another writes.
__global__ void shift_in_place_kernel(int* x) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  x[i] = x[i + 1];
}
TEST_F(PlantedDeathTest, BlocksThatReadEachOther) {
  const unsigned count = 256;
  std::vector<int> x(count + 1), expected(count + 1, static_cast<int>(count));
  std::iota(x.begin(), x.end(), 0);
  std::iota(expected.begin(), expected.end() - 1, 1);
  const auto wrong = [&](uint64_t seed) {
    config.seed = seed;
    const Array<int> array(stream, x);
    launch("planted", shift_in_place_kernel, count / 32, 32, 0, stream, array.data());
    return array.download(stream) != expected;
  };
  if (kThreadSanitizer) {
    EXPECT_DEATH(wrong(0), "data race.*shift_in_place_kernel.*planted_test.cpp");
    return;
  }
  EXPECT_FALSE(wrong(0));  // in order, the bug does not show
  int caught = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) caught += wrong(seed) ? 1 : 0;
  EXPECT_GE(caught, 15);
}

// --- barriers and warp operations ---

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void missed_barrier_kernel() {
  if (threadIdx.x < 40) __syncthreads();
}
__global__ void early_return_kernel() {
  if (threadIdx.x == 63) return;
  __syncthreads();
}
__global__ void barrier_against_shuffle_kernel() {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __shfl_sync(kFull, 0, 0);
  }
}

TEST_F(PlantedTest, BarriersThatNotAllThreadsReach) {
  for (config.seed = 0; config.seed < 3; ++config.seed) {
    const std::string divergent = launch_error(divergent_barrier_kernel, 2, 64, 0);
    EXPECT_CONTAINS(divergent, "kernel planted, block (");
    EXPECT_CONTAINS(divergent, "planted_test.cpp:");
    EXPECT_CONTAINS(divergent, "wait at different barriers");
    for (const auto kernel : {missed_barrier_kernel, early_return_kernel}) {
      const std::string missed = launch_error(kernel, 1, 64, 0);
      EXPECT_CONTAINS(missed, "deadlock: ");
      EXPECT_CONTAINS(missed, " have ended; thread (");
      EXPECT_CONTAINS(missed, "planted_test.cpp:");
    }
    const std::string deadlock = launch_error(barrier_against_shuffle_kernel, 1, 32, 0);
    EXPECT_CONTAINS(deadlock, "deadlock: 32 threads wait, 0 have ended");
    EXPECT_CONTAINS(deadlock, "waits in __syncthreads at ");
    EXPECT_CONTAINS(deadlock, "waits in a warp operation at ");
  }
}

// --- asynchronous copies ---

__global__ void unaligned_copy_kernel(const float* from) {
  copy_async(simt::dynamic_shared<float>(), from + 1);
}
__global__ void copy_that_nobody_awaits_kernel(const float* from) {
  copy_async(simt::dynamic_shared<float>(), from);
  copy_commit();
  copy_wait(1);
}
__global__ void too_many_copies_kernel(const float* from) {
  for (;;) copy_async(simt::dynamic_shared<float>(), from);
}

TEST_F(PlantedTest, MisuseOfAsynchronousCopies) {
  const Array<float> from(8);
  const auto error = [&](void (*kernel)(const float*)) {
    return launch_error(kernel, 1, 32, 32, static_cast<const float*>(from.data()));
  };
  EXPECT_CONTAINS(error(unaligned_copy_kernel), "an address that is not a multiple of 16");
  EXPECT_CONTAINS(error(copy_that_nobody_awaits_kernel), "ended without waiting for its asynchronous copies");
  EXPECT_CONTAINS(error(too_many_copies_kernel), "more pending asynchronous copies than the emulator keeps");
}

__global__ void mask_without_caller_kernel() { __syncwarp(threadIdx.x < 16 ? kFull : 0xffffu); }
__global__ void lane_that_ended_kernel() {
  if (threadIdx.x == 31) return;
  __ballot_sync(kFull, 1);
}
__global__ void lane_that_never_was_kernel() { __ballot_sync(kFull, 1); }
__global__ void different_operations_kernel() {
  if (threadIdx.x % 2 == 0) {
    __shfl_xor_sync(kFull, 1, 1);
  } else {
    __ballot_sync(kFull, 1);
  }
}
__global__ void different_masks_kernel() { __syncwarp(threadIdx.x < 16 ? kFull : 0xffff0000u); }
__global__ void shuffle_from_outside_kernel() {
  if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, 20);
}
__global__ void odd_width_kernel() { __shfl_sync(kFull, 1, 0, 12); }

TEST_F(PlantedTest, WarpOperationsThatAreUndefined) {
  for (config.seed = 0; config.seed < 3; ++config.seed) {
    EXPECT_CONTAINS(launch_error(mask_without_caller_kernel, 1, 32, 0), "excludes the calling thread");
    const std::string ended = launch_error(lane_that_ended_kernel, 1, 32, 0);
    EXPECT_TRUE(ended.find("lanes that have ended") != std::string::npos ||
                ended.find("deadlock: 31 threads wait, 1 have ended") != std::string::npos)
        << ended;
    EXPECT_CONTAINS(launch_error(lane_that_never_was_kernel, 1, 48, 0),
                    "lanes that have ended or do not exist");
    EXPECT_CONTAINS(launch_error(different_operations_kernel, 1, 32, 0), "different operations");
    const std::string masks = launch_error(different_masks_kernel, 1, 32, 0);
    EXPECT_TRUE(masks.find("deadlock: 16 threads wait, 16 have ended") != std::string::npos ||
                masks.find("lanes that have ended") != std::string::npos)
        << masks;
    EXPECT_CONTAINS(launch_error(shuffle_from_outside_kernel, 1, 32, 0), "lane 20, which is not in the mask");
    EXPECT_CONTAINS(launch_error(odd_width_kernel, 1, 32, 0), "power of two");
  }
}

// --- out of bounds ---

__global__ void beyond_static_kernel(float* result, unsigned shift) {
  SOTALIGN_SHARED(float, values, [64]);
  float* p = values;
  p[threadIdx.x + shift] = 1;
  if (threadIdx.x == 0) *result = p[0];
}
__global__ void beyond_dynamic_kernel(float* result, unsigned shift) {
  simt::dynamic_shared<float>()[threadIdx.x + shift] = 1;
  if (threadIdx.x == 0) *result = 0;
}
__global__ void beyond_global_kernel(float* x, unsigned shift) { x[threadIdx.x + shift] = 1; }

TEST_F(PlantedDeathTest, AccessBeyondAnArray) {
  const Array<float> x(64);
  const auto run = [&](unsigned shift, void (*kernel)(float*, unsigned)) {
    launch("planted", kernel, 1, 64, 64 * sizeof(float), stream, x.data(), shift);
    stream.synchronize();
  };
  for (const auto kernel : {beyond_static_kernel, beyond_dynamic_kernel, beyond_global_kernel})
    run(0, kernel);
  if (!kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  EXPECT_DEATH(run(1, beyond_static_kernel), "heap-buffer-overflow.*beyond_static_kernel.*planted_test.cpp");
  EXPECT_DEATH(run(1, beyond_dynamic_kernel),
               "heap-buffer-overflow.*beyond_dynamic_kernel.*planted_test.cpp");
  EXPECT_DEATH(run(1, beyond_global_kernel), "heap-buffer-overflow.*beyond_global_kernel.*planted_test.cpp");
}

TEST_F(PlantedDeathTest, AccessToFreedMemory) {
  if (!kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  struct Arguments {
    float* x;
  } arguments{};
  ASSERT_EQ(cudaMalloc(reinterpret_cast<void**>(&arguments.x), 64 * sizeof(float)), cudaSuccess);
  cudaFree(arguments.x);
  const auto kernel = +[](Arguments args) { args.x[threadIdx.x] = 1; };
  EXPECT_DEATH(launch("planted", kernel, 1, 64, 0, stream, arguments), "heap-use-after-free");
}

TEST_F(PlantedDeathTest, HostCodeTouchesDeviceMemory) {
  const Array<float> x(stream, {1, 2, 3});
  if (kAddressSanitizer || kThreadSanitizer || !config.guard) GTEST_SKIP() << "needs the guard";
  volatile float* p = x.data();
  EXPECT_DEATH(p[1] = 5, "host code touched device memory");
  EXPECT_DEATH(static_cast<void>(p[1]), "host code touched device memory");
}

TEST_F(PlantedDeathTest, KernelFollowsANullPointer) {
  const Array<float> x(1);
  if (kAddressSanitizer || kThreadSanitizer || !config.guard)
    GTEST_SKIP() << "the sanitizers have their own report";
  float* const null = nullptr;
  EXPECT_DEATH(launch("planted", beyond_global_kernel, 1, 3, 0, stream, null, 2u),
               "invalid memory access in kernel planted, block \\(0, 0, 0\\), thread \\(0, 0, 0\\)");
}

// --- launches ---

__global__ void empty_kernel() {}
__global__ void much_static_memory_kernel() {
  SOTALIGN_SHARED(float, values, [4096]);
  values[threadIdx.x] = 0;
}

TEST_F(PlantedTest, LaunchesThatNoDeviceTakes) {
  const int64_t before = counters().launches;
  for (const dim3 grid :
       {dim3(0), dim3(1, 0), dim3(1, 1, 0), dim3(0x80000000u), dim3(1, 65536), dim3(1, 1, 65536)})
    EXPECT_CONTAINS(launch_error(empty_kernel, grid, 1, 0), "launch of kernel planted: the grid has at most");
  for (const dim3 block :
       {dim3(0), dim3(1025), dim3(1, 1, 65), dim3(32, 33), dim3(65536, 65536), dim3(8, 8, 17)})
    EXPECT_CONTAINS(launch_error(empty_kernel, 1, block, 0), "launch of kernel planted: a block has at most");
  EXPECT_EQ(counters().launches, before + 12);  // the launches of sum_kernel
  launch("fits", empty_kernel, 1, 1024, config.max_shared_bytes, stream);
  EXPECT_CONTAINS(launch_error(empty_kernel, 1, 1, config.max_shared_bytes + 1),
                  "of shared memory, asked for 101377");
  const size_t rest = config.max_shared_bytes - 16384;
  launch("fits", much_static_memory_kernel, 1, 1, rest, stream);
  EXPECT_CONTAINS(launch_error(much_static_memory_kernel, 1, 1, rest + 16),
                  "static and dynamic shared memory take");
}

TEST_F(PlantedTest, PointerToMemoryOfTheHost) {
  const Array<float> x(64);
  std::vector<float> host(65);  // under a sanitizer it may begin where x ends, and that end counts as inside
  launch("fits", beyond_global_kernel, 1, 32, 0, stream, x.data() + 32, 0u);
  EXPECT_CONTAINS(launch_error(beyond_global_kernel, 1, 64, 0, host.data() + 1, 0u),
                  "does not point into device memory");
}

}  // namespace simt_planted_test
}  // namespace simt::testing
