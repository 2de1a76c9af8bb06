// The interface through which a Context takes its memory from the caller: an arena, a pool, or the caching
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
/// Several contexts may share a resource; it must then be thread-safe if they run on different threads.
class MemoryResource {
 public:
  MemoryResource() = default;
  MemoryResource(const MemoryResource&) = default;
  MemoryResource& operator=(const MemoryResource&) = default;
  virtual ~MemoryResource();

  /// Returns `bytes` > 0 bytes aligned to `alignment`, a power of two: 64 at present. To fail, returns null
  /// or throws: the context turns both into OutOfMemory. `stream` is the stream of the context, on which the
  /// memory is used; null for a CPU context. The context's device is the current device of the thread.
  virtual void* allocate(size_t bytes, size_t alignment, CudaStream stream) = 0;

  /// Takes back what allocate() returned, with the same arguments. Work that uses the memory may still be
  /// queued on `stream`: the resource lets only work that comes later on that stream reuse the memory, or
  /// synchronizes before other work does.
  virtual void deallocate(void* pointer, size_t bytes, size_t alignment, CudaStream stream) noexcept = 0;

  /// Bytes that allocate() can still return; -1 if not known.
  virtual int64_t available_bytes() const { return -1; }
};

}  // namespace sotalign
