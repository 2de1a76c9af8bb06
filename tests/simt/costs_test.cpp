// What emulation costs. Prints times and checks nothing: run it by hand, with
// --gtest_also_run_disabled_tests.
#include <chrono>
#include <cstdio>
#include <functional>

#include "simt/support.h"

namespace simt::testing {
namespace simt_costs_test {

constexpr int kRounds = 200;

__global__ void barriers_kernel() {
  for (int i = 0; i < kRounds; ++i) __syncthreads();
}
__global__ void shuffles_kernel(int* result) {
  int x = static_cast<int>(threadIdx.x);
  for (int i = 0; i < kRounds; ++i) x += __shfl_xor_sync(0xffffffffu, x, 1);
  if (threadIdx.x == 0) *result = x;
}
__global__ void independent_kernel(int* x) { x[blockIdx.x * blockDim.x + threadIdx.x] = 1; }
__global__ void empty_kernel() {}

class CostsTest : public EmulatorTest {
 protected:
  /// The shortest of several runs.
  static void print(const char* what, double operations, const std::function<void()>& run) {
    double best = 1e9;
    for (int i = 0; i < 10; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run();
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::printf("%-58s %8.1f ns\n", what, best / operations * 1e9);
  }
};

TEST_F(CostsTest, DISABLED_Print) {
  const Array<int> x(1 << 20);
  for (config.seed = 0; config.seed < 2; ++config.seed) {
    std::printf("SIMT_SEED=%d\n", static_cast<int>(config.seed));
    print("__syncthreads, a thread of a block of 256", 4.0 * 256 * kRounds,
          [&] { launch("barriers", barriers_kernel, 4, 256, 0, stream); });
    print("__shfl_xor_sync, a thread", 4.0 * 256 * kRounds,
          [&] { launch("shuffles", shuffles_kernel, 4, 256, 0, stream, x.data()); });
    print("a thread without barriers", 1 << 20,
          [&] { launch("independent", independent_kernel, 1 << 12, 256, 0, stream, x.data()); });
  }
  config.seed = 0;
  for (const size_t megabytes : {0, 1, 16, 256}) {
    const Array<char> more(1 + (megabytes << 20));
    char what[100];
    std::snprintf(what, sizeof what, "an empty launch with %zu MiB of device memory in use", 4 + megabytes);
    print(what, 20, [&] {
      for (int i = 0; i < 20; ++i) launch("empty", empty_kernel, 1, 1, 0, stream);
    });
  }
}

}  // namespace simt_costs_test
}  // namespace simt::testing
