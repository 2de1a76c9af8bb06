// What the twins share: device memory, streams, and the objects that a program holds by pointer.
//
// All of it belongs to one lock, since contexts may be used from several threads of the host.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "simt/emulator.h"

namespace simt::detail {

/// Held by every entry point of the twins, which call each other.
using DeviceLock = std::lock_guard<std::recursive_mutex>;
std::recursive_mutex& device_mutex();

Counters& counters_to_change();
void set_current_test(const std::string& test);

// --- memory ---

/// Null if the emulated device has no room for it. Filled with NaNs.
void* allocate_device_memory(size_t bytes);
/// Throws unless `pointer` is the beginning of an allocation.
void free_device_memory(void* pointer);
size_t device_bytes_in_use();

/// Whether `pointer` lies in a live allocation or at its end.
bool points_into_device_memory(const void* pointer);
/// Throws, naming `what`, unless the bytes lie inside one live allocation.
void require_device_memory(const void* pointer, size_t bytes, const std::string& what);
/// Throws, naming `what`, if any of the bytes is device memory.
void require_host_memory(const void* pointer, size_t bytes, const std::string& what);
/// The same for a matrix stored by columns.
template <class T>
void require_device_matrix(const T* a, int64_t rows, int64_t cols, int64_t stride, const std::string& what) {
  if (rows > 0 && cols > 0)
    require_device_memory(a, static_cast<size_t>((cols - 1) * stride + rows) * sizeof(T), what);
}

/// Device memory can be touched while one of these lives. They do not nest.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;

 private:
  size_t bytes_;  // how much of the arena is open
};

// --- streams ---

/// Throws unless the stream is alive.
void require_stream(cudaStream_t stream, const std::string& what);
/// Runs queued work of all streams until none is left.
void finish_all_work();

// --- objects that the program holds by pointer ---

void remember_object(const void* object, const std::string& description);
void forget_object(const void* object);

/// Streams, events or library handles: the live ones are known, so that misuse and leaks show.
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
