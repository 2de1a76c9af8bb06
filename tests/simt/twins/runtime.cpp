// The functions of the CUDA runtime that the library calls.
//
// Conditions that a correct program may encounter return a status code, as in CUDA: no device, no memory. A
// bug in the program, such as a copy out of bounds, throws simt::Error instead, so that it cannot go
// unnoticed.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simt/twins/streams.h"

namespace {

using namespace simt;
using namespace simt::detail;

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

cudaError_t result(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

/// The status of every call if the machine has no such device.
cudaError_t device_error(int device) {
  if (config.devices < 1) return cudaErrorNoDevice;
  return device >= 0 && device < config.devices ? cudaSuccess : cudaErrorInvalidDevice;
}

struct ErrorText {
  cudaError_t code;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};
constexpr ErrorText kUnlisted = {cudaErrorUnknown, "unrecognized error code", "unrecognized error code"};

const ErrorText& describe(cudaError_t code) {
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorText& error) { return error.code == code; });
  return found == std::end(kErrors) ? kUnlisted : *found;
}

// Reports a Hopper device with resources that all supported devices have.
constexpr int kMajor = 9, kMinor = 0;
constexpr int kThreadsPerMultiprocessor = 1536;
constexpr size_t kReservedSharedBytes = 1024;  // that a block takes beyond its own

/// By kernel and device. Never destroyed, like the other objects of the twins.
std::map<std::pair<const void*, int>, FunctionAttributes>& functions() {
  static auto& instance = *new std::map<std::pair<const void*, int>, FunctionAttributes>;
  return instance;
}

}  // namespace

FunctionAttributes simt::function_attributes(const void* kernel) {
  const DeviceLock lock(device_mutex());
  return functions()[{kernel, current_device}];
}

int simt::detail::resident_blocks(int threads, size_t shared_bytes) {
  const size_t by_memory =
      (config.max_shared_bytes + kReservedSharedBytes) / (shared_bytes + kReservedSharedBytes);
  return std::min(kThreadsPerMultiprocessor / threads, static_cast<int>(by_memory));
}

extern "C" {

// --- devices and versions ---

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  if (config.devices < 1) return result(cudaErrorNoDevice);  // leaves *count alone
  *count = config.devices;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  const cudaError_t code = device_error(device);
  if (code == cudaSuccess) current_device = device;
  return result(code);
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return result(device_error(current_device));
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const cudaError_t code = device_error(device);
  if (code != cudaSuccess) return result(code);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "SIMT emulator");
  properties->major = kMajor;
  properties->minor = kMinor;
  properties->multiProcessorCount = config.multiprocessors;
  properties->totalGlobalMem = config.memory_bytes;
  properties->sharedMemPerBlock = size_t{48} << 10;
  properties->sharedMemPerBlockOptin = config.max_shared_bytes;
  properties->maxThreadsPerBlock = 1024;
  properties->warpSize = 32;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const cudaError_t code = device_error(device);
  if (code != cudaSuccess) return result(code);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = config.multiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = kMajor;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = kMinor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(config.max_shared_bytes);
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(config.max_shared_bytes + kReservedSharedBytes);
      return cudaSuccess;
    case cudaDevAttrCooperativeLaunch:
      *value = config.cooperative_launch;
      return cudaSuccess;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = static_cast<int>(kReservedSharedBytes);
      return cudaSuccess;
    default:
      throw Error("simt: cudaDeviceGetAttribute: attribute " + std::to_string(attribute) +
                  " is not emulated");
  }
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const DeviceLock lock(device_mutex());
  FunctionAttributes& set = functions()[{kernel, current_device}];
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      if (value < 0 || static_cast<size_t>(value) > config.max_shared_bytes)
        return result(cudaErrorInvalidValue);
      set.dynamic_shared_bytes = value;
      break;
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      if (value < -1 || value > 100) return result(cudaErrorInvalidValue);
      set.carveout_percent = value;
      break;
    default:
      throw Error("simt: cudaFuncSetAttribute: attribute " + std::to_string(attribute) + " is not emulated");
  }
  ++set.calls;
  return cudaSuccess;
}
/// Static shared memory is not known before a kernel runs: none is reported.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  return cudaSuccess;
}
/// As shared memory and threads allow, without regard to registers.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t shared) {
  *blocks = resident_blocks(threads, shared);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  const DeviceLock lock(device_mutex());
  ++counters_to_change().synchronisations;
  finish_all_work();
  return result(device_error(current_device));
}

// --- errors ---

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t code) { return describe(code).name; }
const char* cudaGetErrorString(cudaError_t code) { return describe(code).text; }

// --- memory ---

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const DeviceLock lock(device_mutex());
  const cudaError_t code = device_error(current_device);
  if (code != cudaSuccess) return result(code);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  void* memory = allocate_device_memory(bytes);
  if (memory == nullptr) return result(cudaErrorMemoryAllocation);
  *pointer = memory;
  ++counters_to_change().mallocs;
  return cudaSuccess;
}
/// Does not wait for work that is queued. CUDA waits in most cases, but other allocators do not, so the
/// library waits itself.
cudaError_t cudaFree(void* pointer) {
  const DeviceLock lock(device_mutex());
  if (pointer == nullptr) return cudaSuccess;
  free_device_memory(pointer);
  ++counters_to_change().frees;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const DeviceLock lock(device_mutex());
  const cudaError_t code = device_error(current_device);
  if (code != cudaSuccess) return result(code);
  *total = config.memory_bytes;
  *free = config.memory_bytes - std::min(config.memory_bytes, device_bytes_in_use());
  return cudaSuccess;
}

/// Pinned memory is plain host memory here.
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  const DeviceLock lock(device_mutex());
  const cudaError_t code = device_error(current_device);
  if (code != cudaSuccess) return result(code);
  if (flags != cudaHostAllocDefault) throw Error("simt: cudaHostAlloc: only the default flags are emulated");
  if (bytes > config.pinned_bytes) return result(cudaErrorMemoryAllocation);
  *pointer = std::malloc(bytes);
  if (*pointer == nullptr) return result(cudaErrorMemoryAllocation);
  std::memset(*pointer, 0xff, bytes);
  remember_object(*pointer, std::to_string(bytes) + " bytes of pinned memory");
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  const DeviceLock lock(device_mutex());
  if (pointer == nullptr) return cudaSuccess;
  if (!forget_object(pointer)) throw Error("simt: cudaFreeHost of a pointer that is not an allocation");
  std::free(pointer);
  return cudaSuccess;
}

/// Reads and writes host memory when the copy runs, as if it were pinned: with config.deferred, a caller that
/// reuses the memory without waiting gets wrong results.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  require_stream(stream, "cudaMemcpyAsync");
  if (bytes == 0) return cudaSuccess;
  Counters& counted = counters_to_change();
  switch (kind) {
    case cudaMemcpyHostToDevice:
      require_device_memory(to, bytes, "cudaMemcpyAsync to the device, destination");
      require_host_memory(from, bytes, "cudaMemcpyAsync to the device, source");
      ++counted.copies_to_device;
      break;
    case cudaMemcpyDeviceToHost:
      require_host_memory(to, bytes, "cudaMemcpyAsync to the host, destination");
      require_device_memory(from, bytes, "cudaMemcpyAsync to the host, source");
      ++counted.copies_to_host;
      break;
    case cudaMemcpyDeviceToDevice: {
      require_device_memory(to, bytes, "cudaMemcpyAsync on the device, destination");
      require_device_memory(from, bytes, "cudaMemcpyAsync on the device, source");
      const char *first = static_cast<const char*>(to), *second = static_cast<const char*>(from);
      if (std::max(first, second) - std::min(first, second) < static_cast<ptrdiff_t>(bytes))
        throw Error("simt: cudaMemcpyAsync on the device: source and destination overlap");
      ++counted.copies_on_device;
      break;
    }
    default:
      throw Error("simt: cudaMemcpyAsync: this kind of copy is not emulated");
  }
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  require_stream(stream, "cudaMemsetAsync");
  if (bytes == 0) return cudaSuccess;
  require_device_memory(pointer, bytes, "cudaMemsetAsync");
  ++counters_to_change().memsets;
  enqueue(stream, [=] { std::memset(pointer, value, bytes); });
  return cudaSuccess;
}

// --- streams and events ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const DeviceLock lock(device_mutex());
  const cudaError_t code = device_error(current_device);
  if (code != cudaSuccess) return result(code);
  if (flags != cudaStreamNonBlocking)
    throw Error("simt: streams that wait for the default stream are not emulated; use cudaStreamNonBlocking");
  *stream = create_stream();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  destroy_stream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  ++counters_to_change().synchronisations;
  finish_stream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const DeviceLock lock(device_mutex());
  wait_for_event(stream, event);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const DeviceLock lock(device_mutex());
  const cudaError_t code = device_error(current_device);
  if (code != cudaSuccess) return result(code);
  *event = create_event();
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const DeviceLock lock(device_mutex());
  destroy_event(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  record_event(event, stream);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const DeviceLock lock(device_mutex());
  ++counters_to_change().synchronisations;
  finish_event(event);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const DeviceLock lock(device_mutex());
  const CUevent_st &first = get_event(start), &last = get_event(end);
  if (!first.point || !last.point) return result(cudaErrorInvalidResourceHandle);
  if (!first.point->reached() || !last.point->reached()) return result(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(last.time - first.time).count();
  return cudaSuccess;
}

}  // extern "C"
