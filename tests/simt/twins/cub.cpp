// CUB's radix sort. It orders the bits of numbers: -0 and 0 are equal, and NaN comes last, or first if
// negative.
#include "simt/cub.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "simt/twins/device.h"

namespace {

using namespace simt::detail;

uint64_t key_of(double value) {
  const auto bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  constexpr uint64_t kSign = uint64_t{1} << 63;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

bool overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
  const char *first = static_cast<const char*>(a), *second = static_cast<const char*>(b);
  return first < second + b_bytes && second < first + a_bytes;
}

}  // namespace

cudaError_t cub::DeviceRadixSort::SortKeys(void* scratch, size_t& bytes, const double* from, double* to,
                                           int count, int begin_bit, int end_bit, cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  if (count < 0 || begin_bit != 0 || end_bit != 64) return cudaErrorInvalidValue;
  const size_t array = static_cast<size_t>(count) * sizeof(double), needed = array + 256;
  if (scratch == nullptr) {
    bytes = needed;
    return cudaSuccess;
  }
  if (bytes < needed) return cudaErrorInvalidValue;
  require_stream(stream, "cub::DeviceRadixSort::SortKeys");
  const char* const name = "cub::DeviceRadixSort::SortKeys, ";
  require_device_memory(scratch, bytes, name + std::string("scratch"));
  require_device_memory(from, array, name + std::string("from"));
  require_device_memory(to, array, name + std::string("to"));
  if (overlap(from, array, to, array) || overlap(scratch, bytes, from, array) ||
      overlap(scratch, bytes, to, array))
    throw simt::Error(name + std::string("arrays overlap"));
  enqueue(stream, [=] {
    std::memset(scratch, 0xff, needed);
    std::vector<double> keys(from, from + count);
    std::stable_sort(keys.begin(), keys.end(), [](double a, double b) { return key_of(a) < key_of(b); });
    std::copy(keys.begin(), keys.end(), to);
  });
  return cudaSuccess;
}
