// What a Context needs from its device: memory, copies and a queue. One implementation per backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "kernels/queue.h"
#include "sotalign/core/context.h"

namespace sotalign::detail {

/// Whether an environment variable is "1".
inline bool is_one(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string_view(value) == "1";
}

class Runtime {
 public:
  virtual ~Runtime() = default;

  /// Makes this device current on the calling thread, before calls to the caller's memory resource.
  virtual void select() noexcept = 0;

  /// Allocates `bytes` > 0, 64-byte aligned; returns null if there is not enough memory.
  virtual void* allocate(size_t bytes) = 0;
  /// Waits for queued work first: it may still use the memory.
  virtual void deallocate(void* pointer) noexcept = 0;
  /// Free memory of the device in bytes; -1 if unknown.
  virtual int64_t free_bytes() const = 0;

  /// Both synchronize.
  virtual void copy_to_device(void* destination, const void* source, size_t bytes) = 0;
  virtual void copy_to_host(void* destination, const void* source, size_t bytes) = 0;
  /// Both queue their work and return at once.
  virtual void copy_on_device(void* destination, const void* source, size_t bytes) = 0;
  virtual void fill_zero(void* destination, size_t bytes) = 0;
  virtual void synchronize() = 0;
  virtual void load_libraries() = 0;

  Queue queue;
};

std::unique_ptr<Runtime> make_cpu_runtime();
#ifdef SOTALIGN_WITH_CUDA
/// `stream` is the caller's; if unset, the runtime creates its own.
std::unique_ptr<Runtime> make_cuda_runtime(int index, std::optional<CudaStream> stream);
#endif

}  // namespace sotalign::detail
