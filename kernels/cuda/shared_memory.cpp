#include "kernels/cuda/shared_memory.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "kernels/cuda/check.h"

namespace sotalign::kernels::cuda {

namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

/// Percent of a multiprocessor's shared memory that the resident blocks take.
int carveout(const void* kernel, int device, int threads, size_t shared) {
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
  const size_t of_block = shared + attributes.sharedSizeBytes +
                          static_cast<size_t>(attribute(cudaDevAttrReservedSharedMemoryPerBlock, device));
  const size_t most = static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, device));
  const size_t percent = (100 * static_cast<size_t>(blocks) * of_block + most - 1) / most;
  return static_cast<int>(std::min<size_t>(percent, 100));
}

}  // namespace

void prepare_shared_memory(const void* kernel, int device, int threads, size_t shared, const char* name) {
  // The attributes belong to the process, as does the record of what was set.
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, size_t> prepared;
  const std::lock_guard lock(mutex);
  const auto found = prepared.find({kernel, device});
  if (found != prepared.end() && shared <= found->second) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        name);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             carveout(kernel, device, threads, shared)),
        name);
  prepared[{kernel, device}] = shared;
}

int64_t cooperative_shared_memory(int device) {
  return attribute(cudaDevAttrCooperativeLaunch, device) == 0
             ? 0
             : attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

}  // namespace sotalign::kernels::cuda
