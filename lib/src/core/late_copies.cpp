#include "core/late_copies.h"

#include <cstring>
#include <vector>

namespace sotalign::detail {

namespace {

// An operation of the CPU is complete when it returns.
class CpuLateCopies final : public LateCopies {
 public:
  CpuLateCopies(size_t bytes, int64_t slots)
      : slots_(static_cast<size_t>(slots), std::vector<unsigned char>(bytes)) {}
  void begin(int64_t slot, const void* source, size_t bytes) override {
    std::memcpy(slots_[static_cast<size_t>(slot)].data(), source, bytes);
  }
  const void* finish(int64_t slot) override { return slots_[static_cast<size_t>(slot)].data(); }

 private:
  std::vector<std::vector<unsigned char>> slots_;
};

}  // namespace

std::unique_ptr<LateCopies> make_late_copies([[maybe_unused]] const Queue& queue, size_t bytes,
                                             int64_t slots) {
#ifdef SOTALIGN_WITH_CUDA
  if (queue.backend == kernels::Backend::kCuda) return make_cuda_late_copies(queue, bytes, slots);
#endif
  return std::make_unique<CpuLateCopies>(bytes, slots);
}

}  // namespace sotalign::detail
