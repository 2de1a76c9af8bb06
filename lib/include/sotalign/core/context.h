// A Context is a device with everything that belongs to it: the queue that operations run on, the allocator
// and the workspace. There is no global state: distinct contexts may be used from distinct threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "sotalign/core/matrix_view.h"

namespace sotalign {

namespace kernels {
struct Queue;
}

enum class DeviceKind { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;  ///< CUDA device number; 0 for the CPU
  bool operator==(const Device&) const = default;
};

/// "auto", "cpu", "cuda" or "cuda:1". `auto` is the first usable CUDA device, else the CPU.
/// Throws InvalidArgument for anything else and for a device this build or machine does not have.
Device parse_device(const std::string& name);
std::string to_string(const Device& device);

class Context {
 public:
  /// `threads` is for the CPU: 0 takes what OpenMP would use (OMP_NUM_THREADS or the number of cores).
  explicit Context(Device device = {}, int threads = 0);
  ~Context();
  Context(Context&&) noexcept;
  Context& operator=(Context&&) = delete;  // buffers may still live in the context that would go away

  Device device() const;
  int threads() const;
  const kernels::Queue& queue() const;

  /// Device memory, 64-byte aligned, zero bytes give nullptr. Throws OutOfMemory, which names `purpose`.
  void* allocate(size_t bytes, const char* purpose);
  void deallocate(void* pointer) noexcept;
  /// Copies between memory of this context and the host; returns when the host may use either side.
  void copy_to_device(void* destination, const void* source, size_t bytes);
  void copy_to_host(void* destination, const void* source, size_t bytes);
  /// Within the memory of this context; queued, not waited for.
  void copy_on_device(void* destination, const void* source, size_t bytes);
  void fill_zero(void* destination, size_t bytes);
  void synchronize();

  /// How often allocate() was called: tests use it to show that a training step allocates nothing.
  int64_t allocations() const;
  /// Bytes now allocated and the most there ever were.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;

 private:
  friend class Workspace;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Scratch memory with the lifetime of a scope, taken from an arena that the context keeps: after the first
/// pass through a piece of code its scopes allocate nothing. Scopes nest and end in reverse order.
///
///   Workspace scratch(context);
///   float* norms = scratch.take<float>(rows);
class Workspace {
 public:
  explicit Workspace(Context& context);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Uninitialised, 64-byte aligned.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  template <class T>
  MatrixView<T> take_matrix(int64_t rows, int64_t cols) {
    return {take<T>(rows * cols), rows, cols};
  }

 private:
  void* take_bytes(size_t bytes);
  Context::Impl* impl_;
  Context* context_;
  size_t saved_chunk_;
  size_t saved_offset_;
};

}  // namespace sotalign
