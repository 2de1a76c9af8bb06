#include "core/early_copies.h"

#include "sotalign/core/buffer.h"

namespace sotalign::detail {

namespace {

// The memory of the context is memory of the host, and its work is done when a call returns.
class CpuEarlyCopies final : public EarlyCopies {
 public:
  CpuEarlyCopies(Context& context, size_t bytes, int64_t slots)
      : bytes_(bytes), memory_(context, slots * static_cast<int64_t>(bytes), "batches on their way") {}
  void* host(int64_t slot) override { return memory_.data() + static_cast<size_t>(slot) * bytes_; }
  const void* begin(int64_t slot) override { return host(slot); }
  void end(int64_t) override {}

 private:
  size_t bytes_;
  Buffer<unsigned char> memory_;  // [slots, bytes]
};

}  // namespace

std::unique_ptr<EarlyCopies> make_early_copies(Context& context, size_t bytes, int64_t slots) {
#ifdef SOTALIGN_WITH_CUDA
  if (context.device().kind == DeviceKind::kCuda) return make_cuda_early_copies(context, bytes, slots);
#endif
  return std::make_unique<CpuEarlyCopies>(context, bytes, slots);
}

}  // namespace sotalign::detail
