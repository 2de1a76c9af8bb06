// The interface through which a Context allocates from the caller's memory: an arena, a pool, or the caching
// allocator of a framework.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sotalign/core/export.h"

/// What cudaStream_t points to. Declared here so that no CUDA header is needed.
struct CUstream_st;

namespace SOTALIGN_API sotalign {

/// The same type as cudaStream_t.
using CudaStream = CUstream_st*;

/// A source of memory for one device: host memory for a CPU context, device memory for a CUDA context.
/// Several contexts may share a resource; if they run on different threads, it must be thread-safe.
class MemoryResource {
 public:
  MemoryResource() = default;
  MemoryResource(const MemoryResource&) = default;
  MemoryResource& operator=(const MemoryResource&) = default;
  virtual ~MemoryResource();

  /// Returns `bytes` > 0 bytes aligned to `alignment`, a power of two (currently 64). To report failure,
  /// returns null or throws: the context turns both into OutOfMemory. `stream` is the context's stream, on
  /// which the memory will be used; null for a CPU context. The context's device is current on the calling
  /// thread.
  virtual void* allocate(size_t bytes, size_t alignment, CudaStream stream) = 0;

  /// Frees what allocate() returned; the other arguments are those of that call. Work that uses the memory
  /// may still be queued on `stream`: reuse the memory only in the order of that stream, or synchronize
  /// first.
  virtual void deallocate(void* pointer, size_t bytes, size_t alignment, CudaStream stream) noexcept = 0;

  /// Bytes that allocate() can still return; -1 if unknown.
  virtual int64_t available_bytes() const { return -1; }
};

}  // namespace sotalign
