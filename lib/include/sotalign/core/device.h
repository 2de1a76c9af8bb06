// The devices of this machine, and which of them this build can use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// A backend.
enum class DeviceKind { kCpu, kCuda };

/// A device that a Context can run on.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;  ///< CUDA device number; 0 for the CPU
  bool operator==(const Device&) const = default;
};

/// Reads "cpu", "cuda" (the first CUDA device), "cuda:1", or "auto" (the first usable CUDA device, else the
/// CPU). Throws InvalidArgument for any other name, and for a device that this build or machine lacks.
Device parse_device(const std::string& name);
/// "cpu" or "cuda:0".
std::string to_string(const Device& device);

/// A CUDA device of this machine.
struct CudaDevice {
  int index = 0;             ///< as in Device
  std::string name;          ///< for example "NVIDIA H100"
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  int64_t bytes = 0;     ///< total memory
  std::string unusable;  ///< why this build cannot use it; empty if it can
};

/// What this build and this machine offer for CUDA.
struct CudaSupport {
  bool built = false;              ///< this build has the CUDA backend
  std::vector<int> architectures;  ///< compiled in, as 10 major + minor: 80, 90, 100
  int runtime_version = 0;         ///< 13000 for CUDA 13.0
  int driver_version = 0;          ///< the newest CUDA version that the driver supports; 0 without a driver
  std::vector<CudaDevice> devices;
  std::string unusable;  ///< why no device can be used; empty if one can
};

/// Finds the CUDA devices. Never throws: without a driver or device, `unusable` says so.
CudaSupport cuda_support();

/// The CUDA libraries that contexts load when an operation needs them.
struct CudaLibraries {
  std::string cublas, cusolver;  ///< the version, or why the library cannot be loaded
};

/// Loads cuBLAS and cuSOLVER (several hundred megabytes) if this process has not yet done so.
CudaLibraries cuda_libraries();

}  // namespace sotalign
