// Cooperative launches: blocks that wait for each other, and bugs planted in such kernels.
#include <algorithm>
#include <cstdint>

#include "simt/support.h"

namespace simt::testing {
namespace simt_cooperative_test {

constexpr unsigned kThreads = 64;
constexpr int kRounds = 5;

enum class Bug { kNone, kNoFirstBarrier, kNoSecondBarrier };

// Teams of `blocks` blocks. In each round, every block adds up the values of its team, one per block; the sum
// and the block's place in the team become its next value.
template <Bug bug>
__global__ void rounds_kernel(unsigned* values, unsigned* arrivals, unsigned blocks) {
  SOTALIGN_SHARED(unsigned, total, );
  const unsigned team = blockIdx.x / blocks, place = blockIdx.x % blocks;
  unsigned* of_team = values + team * blocks;
  for (int round = 0; round < kRounds; ++round) {
    if (threadIdx.x == kThreads - 1) {
      total = 0;
      for (unsigned b = 0; b < blocks; ++b) total += of_team[b];
    }
    if (bug != Bug::kNoFirstBarrier) team_barrier(arrivals + team, blocks);
    if (threadIdx.x == 0) of_team[place] = total + place;
    if (bug != Bug::kNoSecondBarrier) team_barrier(arrivals + team, blocks);
  }
}

class CooperativeTest : public EmulatorTest {
 protected:
  CooperativeTest() { config.multiprocessors = 8; }

  template <Bug bug>
  bool right(unsigned teams, unsigned blocks) const {
    std::vector<unsigned> values(teams * blocks), expected(teams * blocks);
    for (unsigned i = 0; i < values.size(); ++i) expected[i] = values[i] = i;
    for (int round = 0; round < kRounds; ++round)
      for (unsigned team = 0; team < teams; ++team) {
        unsigned total = 0;
        for (unsigned b = 0; b < blocks; ++b) total += expected[team * blocks + b];
        for (unsigned b = 0; b < blocks; ++b) expected[team * blocks + b] = total + b;
      }
    const Array<unsigned> of_blocks(stream, values), arrivals(teams);
    launch("rounds", Blocks::kCooperative, rounds_kernel<bug>, teams * blocks, kThreads, 0, stream,
           of_blocks.data(), arrivals.data(), blocks);
    return of_blocks.download(stream) == expected;
  }
  /// Expects wrong results in random orders or, under ThreadSanitizer, a report that names this file.
  template <Bug bug>
  void expect_caught() {
    if (kThreadSanitizer) {
      EXPECT_DEATH(right<bug>(1, 4), "data race.*rounds_kernel.*cooperative_test.cpp");
      return;
    }
    int wrong = 0;
    for (config.seed = 1; config.seed <= 20; ++config.seed) wrong += right<bug>(1, 4) ? 0 : 1;
    EXPECT_GE(wrong, 10);
  }
  /// The error of a cooperative launch. A correct kernel must still run after it.
  template <class... Parameters, class... Arguments>
  std::string launch_error(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                           Arguments... arguments) {
    const std::string error = error_of(
        [&] { launch("planted", Blocks::kCooperative, kernel, grid, block, shared, stream, arguments...); });
    EXPECT_TRUE(right<Bug::kNone>(2, 3));
    return error;
  }
};
using CooperativeDeathTest = CooperativeTest;

TEST_F(CooperativeTest, BlocksWaitForEachOther) {
  for (config.seed = 0; config.seed < 6; ++config.seed)
    for (const auto& [teams, blocks] : {std::pair{1u, 1u}, {1u, 8u}, {3u, 2u}, {4u, 4u}}) {
      SCOPED_TRACE(config.seed);
      EXPECT_TRUE(right<Bug::kNone>(teams, blocks)) << teams << " x " << blocks;
    }
}
TEST_F(CooperativeDeathTest, MissingBarrierAfterTheReads) { expect_caught<Bug::kNoFirstBarrier>(); }
TEST_F(CooperativeDeathTest, MissingBarrierAfterTheWrites) { expect_caught<Bug::kNoSecondBarrier>(); }

// Each block has its own shared memory, although all of them live at once.
__global__ void own_memory_kernel(unsigned* result, unsigned* arrivals) {
  SOTALIGN_SHARED(unsigned, fixed, [kThreads]);
  unsigned* dynamic = simt::dynamic_shared<unsigned>();
  fixed[threadIdx.x] = dynamic[threadIdx.x] = blockIdx.x * kThreads + threadIdx.x;
  team_barrier(arrivals, gridDim.x);
  const unsigned other = kThreads - 1 - threadIdx.x;
  result[blockIdx.x * kThreads + threadIdx.x] = fixed[other] + dynamic[other];
}
TEST_F(CooperativeTest, SharedMemoryIsOfTheBlock) {
  for (config.seed = 0; config.seed < 3; ++config.seed) {
    const unsigned blocks = 5;
    const Array<unsigned> result(blocks * kThreads), arrivals(1);
    launch("own_memory", Blocks::kCooperative, own_memory_kernel, blocks, kThreads,
           kThreads * sizeof(unsigned), stream, result.data(), arrivals.data());
    const std::vector<unsigned> values = result.download(stream);
    for (unsigned i = 0; i < blocks * kThreads; ++i)
      EXPECT_EQ(values[i], 2 * (i / kThreads * kThreads + kThreads - 1 - i % kThreads)) << i;
  }
}

__global__ void block_that_stays_away_kernel(unsigned* arrivals) {
  if (blockIdx.x != 2) team_barrier(arrivals, gridDim.x);
}
__global__ void thread_that_stays_away_kernel(unsigned* arrivals) {
  if (blockIdx.x != 2 || threadIdx.x != 7) team_barrier(arrivals, gridDim.x);
}
__global__ void other_barrier_kernel(unsigned* arrivals) {
  if (blockIdx.x == 1)
    team_barrier(arrivals, gridDim.x);
  else
    team_barrier(arrivals, gridDim.x);
}
__global__ void other_number_kernel(unsigned* arrivals) { team_barrier(arrivals, 2 + blockIdx.x % 2); }

TEST_F(CooperativeTest, BarriersThatNotAllBlocksReach) {
  const Array<unsigned> arrivals(1);
  for (config.seed = 0; config.seed < 3; ++config.seed) {
    for (const auto kernel : {block_that_stays_away_kernel, thread_that_stays_away_kernel}) {
      const std::string missed = launch_error(kernel, 4, kThreads, 0, arrivals.data());
      EXPECT_CONTAINS(missed, "kernel planted: deadlock: ");
      EXPECT_CONTAINS(missed, " waits in a barrier between blocks at ");
      EXPECT_CONTAINS(missed, "cooperative_test.cpp:");
    }
    for (const auto kernel : {other_barrier_kernel, other_number_kernel})
      EXPECT_CONTAINS(launch_error(kernel, 4, kThreads, 0, arrivals.data()),
                      "blocks wait at different barriers");
  }
}

TEST_F(CooperativeTest, LaunchesWhoseBlocksCannotAllBeResident) {
  const Array<unsigned> arrivals(1);
  const auto error = [&](dim3 grid, dim3 block, size_t shared) {
    return launch_error(block_that_stays_away_kernel, grid, block, shared, arrivals.data());
  };
  EXPECT_CONTAINS(error(9, 1024, 0), "its blocks must all be resident for a cooperative launch, at most 8");
  EXPECT_CONTAINS(error(9, 32, config.max_shared_bytes), "at most 8, found 9");
  EXPECT_CONTAINS(error(17, 512, 49 << 10), "at most 16, found 17");
  EXPECT_CONTAINS(error_of([&] {
                    launch("planted", block_that_stays_away_kernel, 4, kThreads, 0, stream, arrivals.data());
                  }),
                  "a barrier between blocks in a launch that is not cooperative");
}

}  // namespace simt_cooperative_test
}  // namespace simt::testing
