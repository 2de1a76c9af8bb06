// A Context holds a device and what operations on it need: a stream, library handles, memory and scratch
// space. There is no global state, so different threads may use different contexts.
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

/// Precision of the float32 matrix products of a context on CUDA (cuBLAS). Products are always summed in
/// float32. On the CPU they are float32 whatever is asked.
enum class ProductMath {
  kFp32,
  kTf32,  ///< factors have 11 significant bits
  kBf16,  ///< factors have 8 significant bits
};

/// What a Context runs on: device, threads, stream and memory.
struct ContextOptions {
  Device device = {};
  /// CPU: maximum number of threads per operation, 1 to 4096. 0: OpenMP's default (OMP_NUM_THREADS or the
  /// number of cores).
  int threads = 0;
  /// CUDA: the caller's stream, on which the context queues all of its work. If unset, the context creates a
  /// non-blocking stream of its own. Null is the legacy default stream, as in CUDA.
  ///
  /// The stream must belong to `device` and outlive the context, and must not be capturing a CUDA graph while
  /// the library is called: many functions synchronize the stream, which a capture forbids. The context never
  /// destroys it.
  std::optional<CudaStream> stream = std::nullopt;
  /// The source of all memory that the context allocates; it must outlive the context. Null: cudaMalloc on
  /// CUDA, the heap on the CPU. cuBLAS and cuSOLVER allocate a few MiB of their own in either case, and a
  /// solve with a tolerance less than 1 KiB of pinned host memory for each problem.
  MemoryResource* memory = nullptr;
};

/// Functions that take a context queue their work on its stream, in order. On an adopted stream the caller
/// needs no events and no synchronization: the library's work runs after everything queued before the call,
/// and work queued after the call sees its results. A function that returns a result on the host synchronizes
/// this stream only; without a memory resource, freeing memory (cudaFree) synchronizes the whole device.
///
/// Functions of a CUDA context make its device current on the calling thread.
class Context {
 public:
  /// Throws InvalidArgument if `threads` is out of range, if a CPU context is given a stream, and for a CUDA
  /// device if the build has no CUDA backend. If the environment variable SOTALIGN_SYNCHRONOUS is 1, a CUDA
  /// context synchronizes after each launch, so that an error names the kernel that caused it. If
  /// SOTALIGN_PLAIN is 1, it uses no kernel that needs a cooperative launch; results are the same.
  explicit Context(const ContextOptions& options);
  /// With the defaults for all other options.
  explicit Context(Device device = {}, int threads = 0);
  ~Context();
  Context(Context&&) noexcept;
  Context& operator=(Context&&) = delete;  // live buffers may point into the context it would replace

  Device device() const;
  /// Maximum number of CPU threads per operation, at least 1.
  int threads() const;
  /// The stream on which this context queues its work; null on the CPU.
  CudaStream stream() const;
  /// For internal use.
  const detail::Queue& queue() const;

  /// The precision of the products that are queued from now on; kFp32 by default. core/product_math.h has a
  /// setting that ends with a scope.
  ProductMath product_math() const;
  void set_product_math(ProductMath math);

  /// Allocates device memory, 64-byte aligned and uninitialized; returns nullptr for zero bytes. Throws
  /// OutOfMemory, which names `purpose`, and InvalidArgument if the memory resource returns misaligned
  /// memory.
  void* allocate(size_t bytes, const char* purpose);
  /// Frees memory from allocate(); ignores any other pointer.
  void deallocate(void* pointer) noexcept;
  /// Copy `bytes` between the host and memory of this context. Both synchronize.
  void copy_to_device(void* destination, const void* source, size_t bytes);
  void copy_to_host(void* destination, const void* source, size_t bytes);
  /// Queue a copy or a zero fill within memory of this context. Neither synchronizes.
  void copy_on_device(void* destination, const void* source, size_t bytes);
  void fill_zero(void* destination, size_t bytes);
  /// Waits for all work on the stream of this context, including the caller's if the stream was adopted.
  void synchronize();

  /// CUDA: the first matrix product loads cuBLAS (several hundred megabytes), and the first decomposition
  /// cuSOLVER. They throw Error if the library cannot be loaded. This function loads both now. Without them
  /// Sinkhorn and KLOT on given affinities, and everything else without a product, still run. On the CPU it
  /// does nothing.
  void load_libraries();

  /// Numbers of allocations, copies to the host, and synchronizations (a copy between host and device counts
  /// as one, too). Tests use them to show that a training step needs none. A solve that waits for its own
  /// convergence checks is not counted.
  int64_t allocations() const;
  int64_t host_copies() const;
  int64_t synchronizations() const;
  /// Bytes allocated now, and their maximum so far.
  int64_t bytes_in_use() const;
  int64_t peak_bytes() const;
  /// Bytes that can still be allocated, as reported by the memory resource, the device or, on the CPU, the
  /// system and its control groups; -1 if unknown.
  int64_t available_bytes() const;

 private:
  friend class Workspace;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Scratch memory that is valid until the end of a scope. It comes from an arena that the context keeps, so
/// that code allocates only the first time it runs. Scopes nest, and end in reverse order.
///
///   Workspace scratch(context);
///   float* norms = scratch.take<float>(rows);
class Workspace {
 public:
  explicit Workspace(Context& context);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// `count` uninitialized elements, 64-byte aligned. Throws like Context::allocate().
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(checked_product("workspace", count, sizeof(T)))));
  }
  /// An uninitialized matrix [rows, cols] without padding.
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
