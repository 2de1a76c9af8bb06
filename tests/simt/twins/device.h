// Shared by the twins: device memory, streams, and the objects that a program holds by pointer.
//
// One lock protects all of it, since several host threads may use contexts.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "simt/emulator.h"

namespace simt::detail {

/// Taken by every entry point of the twins; recursive, because they call each other.
using DeviceLock = std::lock_guard<std::recursive_mutex>;
std::recursive_mutex& device_mutex();

Counters& counters_to_change();
void set_current_test(const std::string& test);

// --- memory ---

/// Null if the emulated device is out of memory. Filled with NaNs.
void* allocate_device_memory(size_t bytes);
/// Throws unless `pointer` is the start of an allocation.
void free_device_memory(void* pointer);
size_t device_bytes_in_use();

/// Whether `pointer` lies in a live allocation or one past its end.
bool points_into_device_memory(const void* pointer);
/// Throws, naming `what`, unless the bytes lie inside one live allocation.
void require_device_memory(const void* pointer, size_t bytes, const std::string& what);
/// Throws, naming `what`, if any of the bytes belongs to device memory.
void require_host_memory(const void* pointer, size_t bytes, const std::string& what);
/// The same for a column-major matrix.
template <class T>
void require_device_matrix(const T* a, int64_t rows, int64_t cols, int64_t stride, const std::string& what) {
  if (rows > 0 && cols > 0)
    require_device_memory(a, static_cast<size_t>((cols - 1) * stride + rows) * sizeof(T), what);
}

/// Opens device memory to the host during its lifetime. Must not be nested.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;

 private:
  size_t bytes_;  // how much of the arena is open
};

/// Blocks of so many threads and so much dynamic shared memory that a multiprocessor holds at once.
int resident_blocks(int threads, size_t shared_bytes);

// --- streams ---

/// Throws unless the stream exists.
void require_stream(cudaStream_t stream, const std::string& what);
/// Runs the queued work of all streams.
void finish_all_work();

// --- objects that the program holds by pointer ---

void remember_object(const void* object, const std::string& description);
/// False if no such object is remembered.
bool forget_object(const void* object);

/// Streams, events or library handles. Keeps track of the live ones, so that misuse and leaks are reported.
template <class T>
class Handles {
 public:
  explicit Handles(std::string kind) : kind_(std::move(kind)) {}

  T* create() {
    auto object = std::make_shared<T>();
    T* pointer = object.get();
    remember_object(pointer, kind_);
    live_.emplace(pointer, std::move(object));
    return pointer;
  }
  /// Null if there is no such object.
  std::shared_ptr<T> find(const T* pointer) const {
    const auto found = live_.find(pointer);
    return found == live_.end() ? nullptr : found->second;
  }
  bool destroy(const T* pointer) {
    if (live_.erase(pointer) == 0) return false;
    forget_object(pointer);
    return true;
  }
  const std::map<const T*, std::shared_ptr<T>>& live() const { return live_; }

 private:
  std::string kind_;
  std::map<const T*, std::shared_ptr<T>> live_;
};

}  // namespace simt::detail
