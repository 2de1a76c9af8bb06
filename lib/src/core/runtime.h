// What a Context needs of its device: memory, copies and a queue. One implementation for each backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/queue.h"
#include "sotalign/core/context.h"

namespace sotalign::detail {

class Runtime {
 public:
  virtual ~Runtime() = default;

  /// 64-byte aligned; null if there is not enough memory. bytes > 0.
  virtual void* allocate(size_t bytes) = 0;
  virtual void deallocate(void* pointer) noexcept = 0;
  /// Free memory of the device; -1 where that is not known.
  virtual int64_t free_bytes() const = 0;

  /// Wait until the host may use both sides.
  virtual void copy_to_device(void* destination, const void* source, size_t bytes) = 0;
  virtual void copy_to_host(void* destination, const void* source, size_t bytes) = 0;
  /// Queued.
  virtual void copy_on_device(void* destination, const void* source, size_t bytes) = 0;
  virtual void fill_zero(void* destination, size_t bytes) = 0;
  virtual void synchronize() = 0;

  kernels::Queue queue;
};

std::unique_ptr<Runtime> make_cpu_runtime();
#ifdef SOTALIGN_WITH_CUDA
std::unique_ptr<Runtime> make_cuda_runtime(int index);
#endif

}  // namespace sotalign::detail
