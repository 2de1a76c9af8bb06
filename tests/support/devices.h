// Tests are written once and run on every device of this build and machine.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "sotalign/core/context.h"

namespace sotalign {
inline void PrintTo(const Device& device, std::ostream* os) { *os << to_string(device); }
}  // namespace sotalign

namespace sotalign::testing {

/// The CPU, and the first usable CUDA device if there is one; it may be emulated.
inline std::vector<Device> devices() {
  std::vector<Device> devices = {Device{}};
  for (const CudaDevice& device : cuda_support().devices)
    if (device.unusable.empty()) {
      devices.push_back({DeviceKind::kCuda, device.index});
      break;
    }
  return devices;
}

/// Whether the emulator's twins stand in for the libraries of this device: they find misuse.
inline bool is_emulated(const Device& device) {
  return device.kind == DeviceKind::kCuda &&
         cuda_support().devices[static_cast<size_t>(device.index)].name == "SIMT emulator";
}

/// A fixture with a context. Use it with TEST_P and SOTALIGN_ON_EVERY_DEVICE(Suite).
class DeviceTest : public ::testing::TestWithParam<Device> {
 protected:
  Context context{GetParam()};
};

inline std::string device_name(const ::testing::TestParamInfo<Device>& info) {
  return info.param.kind == DeviceKind::kCpu ? "cpu" : "cuda" + std::to_string(info.param.index);
}

#define SOTALIGN_ON_EVERY_DEVICE(Suite)                                                  \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(::sotalign::testing::devices()), \
                           ::sotalign::testing::device_name)

}  // namespace sotalign::testing
