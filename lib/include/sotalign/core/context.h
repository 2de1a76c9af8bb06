// A Context is a device with everything that belongs to it: the queue that operations run on, the allocator
// and the workspace. There is no global state: distinct contexts may be used from distinct threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "sotalign/core/checked.h"
#include "sotalign/core/device.h"
#include "sotalign/core/matrix_view.h"

namespace sotalign {

namespace kernels {
struct Queue;
}

class Context {
 public:
  /// `threads` is for the CPU: 0 takes what OpenMP would use (OMP_NUM_THREADS or the number of cores).
  /// On CUDA, a context has a stream and cuBLAS and cuSOLVER handles of its own. If the environment variable
  /// SOTALIGN_SYNCHRONOUS is 1, it waits after each launch, so that an error names the kernel it comes from.
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

  /// How often memory was allocated, copied to the host, and the device waited for (which either copy between
  /// host and device does, too). Tests use these to show that a training step does none of it.
  int64_t allocations() const;
  int64_t host_copies() const;
  int64_t synchronizations() const;
  /// Bytes now allocated and the most there ever were.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;
  /// Memory that can still be had now, of the device or of this process's share of the host; -1: not known.
  int64_t available_bytes() const;

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
    return static_cast<T*>(take_bytes(static_cast<size_t>(checked_product("workspace", count, sizeof(T)))));
  }
  template <class T>
  MatrixView<T> take_matrix(int64_t rows, int64_t cols) {
    return {take<T>(checked_product("workspace", rows, cols)), rows, cols};
  }

 private:
  void* take_bytes(size_t bytes);
  Context::Impl* impl_;
  Context* context_;
  size_t saved_chunk_;
  size_t saved_offset_;
};

}  // namespace sotalign
