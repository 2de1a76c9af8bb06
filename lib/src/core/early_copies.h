// Copies from the host that overlap with queued work: the next batch travels while the device works on this
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "sotalign/core/context.h"

namespace sotalign::detail {

/// Slots of memory on the host, each with its counterpart in the memory of the context. For each use of a
/// slot:
///
///   fill(copies->host(slot));                         // any thread may fill it
///   const void* on_device = copies->begin(slot);
///   ... queue work that reads on_device ...
///   copies->end(slot);
///
/// Its functions are for the thread of the context.
class EarlyCopies {
 public:
  virtual ~EarlyCopies() = default;
  /// The slot on the host. Waits until its last copy has been made, so that it may be filled again.
  virtual void* host(int64_t slot) = 0;
  /// Starts the copy of a slot and returns the counterpart, in which work that is queued from now on sees the
  /// bytes. The copy waits for the work of the slot's last use, and for nothing else.
  virtual const void* begin(int64_t slot) = 0;
  /// All work that reads the slot's counterpart is queued.
  virtual void end(int64_t slot) = 0;
};

/// `slots` slots of `bytes` bytes. The context must outlive them. On CUDA they are in pinned memory, or in
/// ordinary memory if no pinned memory is left: copies then take longer and do not overlap. Throws
/// OutOfMemory.
std::unique_ptr<EarlyCopies> make_early_copies(Context& context, size_t bytes, int64_t slots);
#ifdef SOTALIGN_WITH_CUDA
/// The same for a context of the CUDA backend.
std::unique_ptr<EarlyCopies> make_cuda_early_copies(Context& context, size_t bytes, int64_t slots);
#endif

}  // namespace sotalign::detail
