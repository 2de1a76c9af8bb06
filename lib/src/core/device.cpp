#include "sotalign/core/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sotalign/core/error.h"

#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include "core/cuda_architectures.h"
#include "kernels/cuda/vendor.h"
#endif

namespace sotalign {

namespace {

/// Why CUDA device `index` cannot be used; empty if it can.
std::string reason_against(const CudaSupport& support, int index) {
  if (!support.unusable.empty() && support.devices.empty()) return support.unusable;
  if (index >= static_cast<int>(support.devices.size()))
    return fmt::format("this machine has {} CUDA device{}", support.devices.size(),
                       support.devices.size() == 1 ? "" : "s");
  return support.devices[static_cast<size_t>(index)].unusable;
}

}  // namespace

CudaSupport cuda_support() {
  CudaSupport support;
#ifdef SOTALIGN_WITH_CUDA
  support.built = true;
  const std::vector<detail::CudaArchitecture> architectures =
      detail::parse_cuda_architectures(SOTALIGN_CUDA_ARCHITECTURES);
  for (const detail::CudaArchitecture& architecture : architectures)
    if (support.architectures.empty() || support.architectures.back() != architecture.number)
      support.architectures.push_back(architecture.number);
  cudaRuntimeGetVersion(&support.runtime_version);
  cudaDriverGetVersion(&support.driver_version);
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) {
    cudaGetLastError();
    support.unusable = support.driver_version == 0 ? "no CUDA driver found" : cudaGetErrorString(code);
    return support;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
      cudaGetLastError();
      CudaDevice& device = support.devices.emplace_back();
      device.index = index;
      device.unusable = "its properties cannot be read";
      continue;
    }
    CudaDevice& device = support.devices.emplace_back();
    device.index = index;
    device.name = properties.name;
    device.major = properties.major;
    device.minor = properties.minor;
    device.multiprocessors = properties.multiProcessorCount;
    device.bytes = static_cast<int64_t>(properties.totalGlobalMem);
    if (!detail::can_run(architectures, device.major, device.minor))
      device.unusable = fmt::format("compute capability {}.{} is not among the architectures compiled for",
                                    device.major, device.minor);
  }
  if (support.devices.empty()) {
    support.unusable = "no CUDA device found";
  } else if (std::all_of(support.devices.begin(), support.devices.end(),
                         [](const CudaDevice& device) { return !device.unusable.empty(); })) {
    support.unusable = support.devices[0].unusable;
  }
#else
  support.unusable = "this build has no CUDA backend";
#endif
  return support;
}

CudaLibraries cuda_libraries() {
#ifdef SOTALIGN_WITH_CUDA
  using namespace kernels::cuda;
  CudaLibraries libraries;
  try {
    cublasHandle_t handle = nullptr;
    int version = 0;
    check(cublas().create(&handle), "cublasCreate");
    cublas().get_version(handle, &version);
    cublas().destroy(handle);
    libraries.cublas = fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  } catch (const Error& error) {
    libraries.cublas = error.what();
  }
  try {
    int version = 0;
    check(cusolver().get_version(&version), "cusolverGetVersion");
    libraries.cusolver = fmt::format("{}.{}.{}", version / 1000, version / 100 % 10, version % 100);
  } catch (const Error& error) {
    libraries.cusolver = error.what();
  }
  return libraries;
#else
  return {"this build has no CUDA backend", "this build has no CUDA backend"};
#endif
}

Device parse_device(const std::string& name) {
  if (name == "cpu") return {};
  if (name == "auto") {
    for (const CudaDevice& device : cuda_support().devices)
      if (device.unusable.empty()) return {DeviceKind::kCuda, device.index};
    return {};
  }
  int index = 0;
  if (name.starts_with("cuda:")) {
    const char *first = name.data() + 5, *last = name.data() + name.size();
    const auto [end, error] = std::from_chars(first, last, index);
    if (error != std::errc{} || end != last || index < 0) index = -1;
  } else if (name != "cuda") {
    index = -1;
  }
  if (index < 0)
    throw InvalidArgument(fmt::format("device: expected auto, cpu, cuda or cuda:INDEX, found '{}'", name));
  const std::string reason = reason_against(cuda_support(), index);
  if (!reason.empty())
    throw InvalidArgument(fmt::format("device: {} cannot be used: {}; expected auto or cpu", name, reason));
  return {DeviceKind::kCuda, index};
}

std::string to_string(const Device& device) {
  return device.kind == DeviceKind::kCpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

}  // namespace sotalign
