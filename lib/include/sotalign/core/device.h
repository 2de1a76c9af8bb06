// Which devices there are, and what a CUDA device is like.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotalign {

enum class DeviceKind { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;  ///< CUDA device number; 0 for the CPU
  bool operator==(const Device&) const = default;
};

/// "auto", "cpu", "cuda" (the first CUDA device) or "cuda:1". `auto` is the first usable CUDA device, else
/// the CPU. Throws InvalidArgument for anything else and for a device this build or machine does not have.
Device parse_device(const std::string& name);
std::string to_string(const Device& device);

struct CudaDevice {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  int64_t bytes = 0;     ///< memory
  std::string unusable;  ///< why this build cannot use it; empty if it can
};

struct CudaSupport {
  bool built = false;              ///< this build has the CUDA backend
  std::vector<int> architectures;  ///< compiled for, as 10 major + minor: 80, 90, 100
  int runtime_version = 0;         ///< 13000 for CUDA 13.0
  int driver_version = 0;          ///< the newest the driver knows; 0 without a driver
  std::vector<CudaDevice> devices;
  std::string unusable;  ///< why no device can be used; empty if one can
};

/// Never throws: a machine without driver or device is an answer, too.
CudaSupport cuda_support();

struct CudaLibraries {
  std::string cublas, cusolver;  ///< versions, or why they cannot be loaded
};

/// Loads cuBLAS and cuSOLVER if that has not happened yet (a matter of some hundred megabytes).
CudaLibraries cuda_libraries();

}  // namespace sotalign
