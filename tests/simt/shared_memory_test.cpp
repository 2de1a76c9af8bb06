// kernels/cuda/shared_memory.h: which attributes it sets, and when. The emulated multiprocessor has 100 KiB
// of shared memory, of which each block takes 1 KiB for itself, and 1536 threads.
#include "kernels/cuda/shared_memory.h"

#include "simt/support.h"
#include "sotalign/core/error.h"

namespace simt::testing {
namespace simt_shared_memory_test {

using sotalign::kernels::cuda::prepare_shared_memory;

constexpr size_t kKiB = 1024;

class SharedMemoryTest : public EmulatorTest {
 protected:
  ~SharedMemoryTest() override { cudaSetDevice(0); }
};

TEST_F(SharedMemoryTest, AttributesAreSetOnce) {
  static const char kernel = 0;  // an address is all that matters here
  EXPECT_EQ(function_attributes(&kernel).calls, 0);
  for (int launch = 0; launch < 3; ++launch) prepare_shared_memory(&kernel, 0, 512, 64 * kKiB, "test");
  prepare_shared_memory(&kernel, 0, 512, 32 * kKiB, "test");
  const FunctionAttributes attributes = function_attributes(&kernel);
  EXPECT_EQ(attributes.calls, 2);
  EXPECT_EQ(attributes.dynamic_shared_bytes, 64 * 1024);
  EXPECT_EQ(attributes.carveout_percent, 65);  // one block
}

TEST_F(SharedMemoryTest, TheCarveOutHoldsTheResidentBlocks) {
  static const char small = 0, many_threads = 0, whole = 0;
  prepare_shared_memory(&small, 0, 128, 8 * kKiB, "test");
  EXPECT_EQ(function_attributes(&small).carveout_percent, 99);  // 11 blocks of 9 KiB
  prepare_shared_memory(&many_threads, 0, 512, 16 * kKiB, "test");
  EXPECT_EQ(function_attributes(&many_threads).carveout_percent, 51);  // 3 blocks of 17 KiB
  prepare_shared_memory(&whole, 0, 512, 99 * kKiB, "test");
  EXPECT_EQ(function_attributes(&whole).carveout_percent, 100);
}

TEST_F(SharedMemoryTest, MoreMemoryAndOtherDevicesAreSetAgain) {
  static const char kernel = 0;
  config.devices = 2;
  prepare_shared_memory(&kernel, 0, 256, 32 * kKiB, "test");
  prepare_shared_memory(&kernel, 0, 256, 64 * kKiB, "test");
  EXPECT_EQ(function_attributes(&kernel).calls, 4);
  EXPECT_EQ(function_attributes(&kernel).dynamic_shared_bytes, 64 * 1024);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(function_attributes(&kernel).calls, 0);
  for (int launch = 0; launch < 2; ++launch) prepare_shared_memory(&kernel, 1, 256, 32 * kKiB, "test");
  EXPECT_EQ(function_attributes(&kernel).calls, 2);
  EXPECT_EQ(function_attributes(&kernel).dynamic_shared_bytes, 32 * 1024);
}

TEST_F(SharedMemoryTest, ARefusalIsNotTakenForSuccess) {
  static const char kernel = 0;
  for (int launch = 0; launch < 2; ++launch) {
    try {
      prepare_shared_memory(&kernel, 0, 128, 100 * kKiB, "rows");
      ADD_FAILURE() << "no exception";
    } catch (const sotalign::CudaError& error) {
      EXPECT_CONTAINS(error.what(), "rows failed with cudaErrorInvalidValue");
    }
    cudaGetLastError();
  }
  prepare_shared_memory(&kernel, 0, 128, 99 * kKiB, "rows");
  EXPECT_EQ(function_attributes(&kernel).dynamic_shared_bytes, 99 * 1024);
}

}  // namespace simt_shared_memory_test
}  // namespace simt::testing
