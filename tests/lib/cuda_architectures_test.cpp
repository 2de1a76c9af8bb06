// Which devices can run which architectures. Needs no device.
#include "core/cuda_architectures.h"

#include <gtest/gtest.h>

namespace sotalign {
namespace lib_cuda_architectures_test {

using detail::can_run;
using detail::CudaArchitecture;
using detail::parse_cuda_architectures;
using Reach = CudaArchitecture::Reach;

TEST(CudaArchitectures, AreReadAsCMakeWritesThem) {
  EXPECT_EQ(parse_cuda_architectures("120 80-real 90-virtual 100a-real 90a 121f-virtual"),
            (std::vector<CudaArchitecture>{
                {.number = 80, .machine_code = true},
                {.number = 90, .ptx = true},
                {.number = 90, .reach = Reach::kExact, .machine_code = true, .ptx = true},
                {.number = 100, .reach = Reach::kExact, .machine_code = true},
                {.number = 120, .machine_code = true, .ptx = true},
                {.number = 121, .reach = Reach::kFamily, .ptx = true}}));
  EXPECT_TRUE(parse_cuda_architectures("").empty());
  EXPECT_TRUE(parse_cuda_architectures("native all sm_90 90-ptx 90b 90aa -real  ").empty());
  EXPECT_EQ(parse_cuda_architectures(" 90  86 ").size(), 2u);
}

// The devices, as 10 major + minor, that run the list.
std::vector<int> devices_of(const char* list) {
  std::vector<int> devices;
  for (const int device : {75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121, 130})
    if (can_run(parse_cuda_architectures(list), device / 10, device % 10)) devices.push_back(device);
  return devices;
}
using Devices = std::vector<int>;

TEST(CudaArchitectures, MachineCodeRunsOnLaterDevicesOfItsMajorVersion) {
  EXPECT_EQ(devices_of("80-real"), (Devices{80, 86, 87, 89}));
  EXPECT_EQ(devices_of("86-real"), (Devices{86, 87, 89}));
  EXPECT_EQ(devices_of("80-real 90-real 100-real"), (Devices{80, 86, 87, 89, 90, 100, 103}));
}

TEST(CudaArchitectures, PtxRunsOnEveryLaterDevice) {
  EXPECT_EQ(devices_of("100-virtual"), (Devices{100, 103, 110, 120, 121, 130}));
  EXPECT_EQ(devices_of("90"), (Devices{90, 100, 103, 110, 120, 121, 130}));
  EXPECT_EQ(devices_of("80-real 120"), (Devices{80, 86, 87, 89, 120, 121, 130}));
  // The newest architecture need not be the one with PTX.
  EXPECT_EQ(devices_of("86 100-real"), (Devices{86, 87, 89, 90, 100, 103, 110, 120, 121, 130}));
}

TEST(CudaArchitectures, WithoutPtxALaterMajorVersionRunsNothing) {
  EXPECT_FALSE(can_run(parse_cuda_architectures("80-real 90-real"), 10, 0));
  EXPECT_EQ(devices_of("80-real 90-real"), (Devices{80, 86, 87, 89, 90}));
}

TEST(CudaArchitectures, SpecificOnesRunOnTheirDeviceOrFamily) {
  for (const char* suffix : {"a", "a-real", "a-virtual"}) {
    EXPECT_EQ(devices_of((std::string("90") + suffix).c_str()), (Devices{90})) << suffix;
    EXPECT_EQ(devices_of((std::string("100") + suffix).c_str()), (Devices{100})) << suffix;
  }
  for (const char* suffix : {"f", "f-real", "f-virtual"}) {
    EXPECT_EQ(devices_of((std::string("100") + suffix).c_str()), (Devices{100, 103})) << suffix;
    EXPECT_EQ(devices_of((std::string("121") + suffix).c_str()), (Devices{121})) << suffix;
  }
  EXPECT_EQ(devices_of("90a 80"), devices_of("80"));
}

TEST(CudaArchitectures, NoneRunNowhere) { EXPECT_TRUE(devices_of("").empty()); }

}  // namespace lib_cuda_architectures_test
}  // namespace sotalign
