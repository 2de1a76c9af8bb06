// Copies to the host that do not stop the queue: the host reads each one later, when it needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/queue.h"

namespace sotalign::detail {

class LateCopies {
 public:
  virtual ~LateCopies() = default;
  /// Queues a copy of `bytes` bytes of the queue's device into a slot, in place of what it held.
  virtual void begin(int64_t slot, const void* source, size_t bytes) = 0;
  /// Waits for a slot's copy, but not for work queued after it, and returns the bytes: valid until the next
  /// begin() of this slot.
  virtual const void* finish(int64_t slot) = 0;
};

/// `slots` copies of up to `bytes` bytes each may be on their way.
std::unique_ptr<LateCopies> make_late_copies(const Queue& queue, size_t bytes, int64_t slots);
#ifdef SOTALIGN_WITH_CUDA
/// The same for a queue of the CUDA backend.
std::unique_ptr<LateCopies> make_cuda_late_copies(const Queue& queue, size_t bytes, int64_t slots);
#endif

}  // namespace sotalign::detail
