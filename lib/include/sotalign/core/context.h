// A Context is a device together with what operations on it need: a stream, library handles, memory and
// scratch space. There is no global state, so different threads may use different contexts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "sotalign/core/checked.h"
#include "sotalign/core/device.h"
#include "sotalign/core/export.h"
#include "sotalign/core/matrix_view.h"
#include "sotalign/core/memory_resource.h"

namespace sotalign::detail {
struct Queue;
}

namespace SOTALIGN_API sotalign {

/// What a Context runs on: device, threads, stream and memory.
struct ContextOptions {
  Device device = {};
  /// CPU: threads that an operation may use, 1 to 4096. 0: what OpenMP would use (OMP_NUM_THREADS or the
  /// number of cores).
  int threads = 0;
  /// CUDA: the caller's stream, to which the context adds all of its work. Not given: the context creates a
  /// non-blocking stream of its own. Null is a stream, too: the legacy default stream, as in CUDA.
  ///
  /// The caller guarantees that the stream belongs to `device`, that it outlives the context, and that no
  /// capture into a CUDA graph is active on it while the library is called: many functions wait for the
  /// stream, which a capture does not permit. The context never destroys the stream.
  std::optional<CudaStream> stream = std::nullopt;
  /// The source of all memory that the context allocates; it outlives the context. Null: cudaMalloc on CUDA,
  /// the heap on the CPU. cuBLAS and cuSOLVER allocate a few MiB of their own in either case.
  MemoryResource* memory = nullptr;
};

/// Calls that take a context queue their work on the context's stream, in order. With an adopted stream the
/// caller therefore needs no event and no wait: work that the caller queues before a call is done before the
/// call's work begins, and work that the caller queues after a call sees its results. A function that returns
/// a result on the host waits for that stream alone. Without a memory resource, freeing memory (cudaFree)
/// waits for the whole device.
///
/// Functions of a CUDA context make its device the current device of the calling thread.
class Context {
 public:
  /// Throws InvalidArgument for a number of threads out of range, for a stream given to a CPU context, and
  /// for CUDA in a build without it. If the environment variable SOTALIGN_SYNCHRONOUS is 1, a CUDA context
  /// waits after each launch, so that an error names the kernel that caused it.
  explicit Context(const ContextOptions& options);
  /// The same with the default stream and memory.
  explicit Context(Device device = {}, int threads = 0);
  ~Context();
  Context(Context&&) noexcept;
  Context& operator=(Context&&) = delete;  // buffers may still live in the context that would be replaced

  Device device() const;
  /// CPU threads that an operation may use, at least 1.
  int threads() const;
  /// The stream that this context queues its work on; null on the CPU.
  CudaStream stream() const;
  /// For the library itself.
  const detail::Queue& queue() const;

  /// Memory of the device, 64-byte aligned, not initialized; nullptr for zero bytes. Throws OutOfMemory,
  /// which names `purpose`, and InvalidArgument if the memory resource returns misaligned memory.
  void* allocate(size_t bytes, const char* purpose);
  /// Takes back memory from allocate(); ignores any other pointer.
  void deallocate(void* pointer) noexcept;
  /// Copy `bytes` between memory of this context and the host. Both wait for the copy.
  void copy_to_device(void* destination, const void* source, size_t bytes);
  void copy_to_host(void* destination, const void* source, size_t bytes);
  /// Queue a copy within, or a fill of, memory of this context. Neither waits.
  void copy_on_device(void* destination, const void* source, size_t bytes);
  void fill_zero(void* destination, size_t bytes);
  /// Waits until all work on the stream of this context is done, including the caller's if it was adopted.
  void synchronize();

  /// Counts of allocations, of copies to the host, and of waits for the device (a copy between host and
  /// device is one, too). Tests use them to show that a training step needs none.
  int64_t allocations() const;
  int64_t host_copies() const;
  int64_t synchronizations() const;
  /// Bytes allocated now, and the largest number so far.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;
  /// Bytes that can still be allocated, as the memory resource, the device or, on the CPU, the system and its
  /// control groups report them; -1 if not known.
  int64_t available_bytes() const;

 private:
  friend class Workspace;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Scratch memory that lives until the end of a scope. It comes from an arena that the context keeps, so that
/// a piece of code allocates only in its first pass. Scopes nest, and end in reverse order.
///
///   Workspace scratch(context);
///   float* norms = scratch.take<float>(rows);
class Workspace {
 public:
  explicit Workspace(Context& context);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// `count` elements, not initialized, 64-byte aligned. Throws as Context::allocate() does.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(checked_product("workspace", count, sizeof(T)))));
  }
  /// A matrix [rows, cols] without gaps between the rows.
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
