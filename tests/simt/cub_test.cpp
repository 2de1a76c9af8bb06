// The twin of CUB: the order of numbers, and mistakes that it must notice.
#include "simt/cub.h"

#include <cmath>
#include <limits>

#include "simt/support.h"

namespace simt::testing {
namespace simt_cub_test {

class CubTest : public EmulatorTest {
 protected:
  cudaError_t sort(void* scratch, size_t& bytes, const double* from, double* to, int count) {
    return cub::DeviceRadixSort::SortKeys(scratch, bytes, from, to, count, 0, 64, stream);
  }
};

TEST_F(CubTest, SortsNumbers) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {3, -2, 0.0, kInfinity, -0.0, 1e-300, -kInfinity, -1e-300, -2, 7};
  const int count = static_cast<int>(values.size());
  const Array<double> from(stream, values), to(values.size());
  size_t bytes = 0;
  ASSERT_EQ(sort(nullptr, bytes, nullptr, nullptr, count), cudaSuccess);
  const Array<char> scratch(bytes);
  ASSERT_EQ(sort(scratch.data(), bytes, from.data(), to.data(), count), cudaSuccess);
  const std::vector<double> found = to.download(stream);
  EXPECT_EQ(found, (std::vector<double>{-kInfinity, -2, -2, -1e-300, 0, 0, 1e-300, 3, 7, kInfinity}));
  EXPECT_FALSE(std::signbit(found[4])) << "equal keys keep their order";
  EXPECT_TRUE(std::signbit(found[5]));
  EXPECT_EQ(from.download(stream), values);
}

TEST_F(CubTest, KeepsTheOrderOfItsStream) {
  config.deferred = true;
  const Array<double> from(stream, {2, 1}), to(2), again(2);
  size_t bytes = 0;
  ASSERT_EQ(sort(nullptr, bytes, nullptr, nullptr, 2), cudaSuccess);
  const Array<char> scratch(bytes);
  ASSERT_EQ(sort(scratch.data(), bytes, from.data(), to.data(), 2), cudaSuccess);
  ASSERT_EQ(sort(scratch.data(), bytes, to.data(), again.data(), 2), cudaSuccess);
  EXPECT_EQ(again.download(stream), (std::vector<double>{1, 2}));
}

TEST_F(CubTest, Mistakes) {
  const Array<double> from(stream, {2, 1, 3}), to(3);
  size_t bytes = 0, too_few = 8;
  ASSERT_EQ(sort(nullptr, bytes, nullptr, nullptr, 3), cudaSuccess);
  const Array<char> scratch(bytes);
  std::vector<double> host(3);
  EXPECT_EQ(sort(scratch.data(), too_few, from.data(), to.data(), 3), cudaErrorInvalidValue);
  EXPECT_EQ(sort(scratch.data(), bytes, from.data(), to.data(), -1), cudaErrorInvalidValue);
  EXPECT_CONTAINS(error_of([&] { sort(scratch.data(), bytes, host.data(), to.data(), 3); }),
                  "SortKeys, from: ");
  EXPECT_CONTAINS(error_of([&] { sort(scratch.data(), bytes, from.data(), from.data() + 1, 2); }),
                  "arrays overlap");
  EXPECT_CONTAINS(error_of([&] { sort(to.data(), bytes, from.data(), to.data(), 3); }),
                  "SortKeys, scratch: ");
}

}  // namespace simt_cub_test
}  // namespace simt::testing
