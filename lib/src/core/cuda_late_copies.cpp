// LateCopies on CUDA: pinned memory, and an event after each copy.
#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include <vector>

#include "core/late_copies.h"
#include "kernels/cuda/check.h"

namespace sotalign::detail {

namespace {

using kernels::cuda::check;

class CudaLateCopies final : public LateCopies {
 public:
  CudaLateCopies(const Queue& queue, size_t bytes, int64_t slots)
      : queue_(queue), bytes_(bytes), copied_(static_cast<size_t>(slots), nullptr) {
    try {
      check(cudaSetDevice(queue_.device), "cudaSetDevice");
      void* memory = nullptr;
      check(cudaHostAlloc(&memory, bytes * copied_.size(), cudaHostAllocDefault), "cudaHostAlloc");
      memory_ = static_cast<unsigned char*>(memory);
      for (cudaEvent_t& event : copied_)
        check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    } catch (...) {
      release();
      throw;
    }
  }
  ~CudaLateCopies() override { release(); }
  CudaLateCopies(const CudaLateCopies&) = delete;
  CudaLateCopies& operator=(const CudaLateCopies&) = delete;

  void begin(int64_t slot, const void* source, size_t bytes) override {
    const auto stream = static_cast<cudaStream_t>(queue_.stream);
    check(cudaSetDevice(queue_.device), "cudaSetDevice");
    check(cudaMemcpyAsync(at(slot), source, bytes, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
    check(cudaEventRecord(copied_[static_cast<size_t>(slot)], stream), "cudaEventRecord");
  }
  const void* finish(int64_t slot) override {
    check(cudaEventSynchronize(copied_[static_cast<size_t>(slot)]), "cudaEventSynchronize");
    return at(slot);
  }

 private:
  unsigned char* at(int64_t slot) const { return memory_ + static_cast<size_t>(slot) * bytes_; }
  // Waits for the copies: they write to the memory. An event that was never recorded is complete.
  void release() noexcept {
    cudaSetDevice(queue_.device);
    for (cudaEvent_t event : copied_) {
      if (event == nullptr) continue;
      cudaEventSynchronize(event);
      cudaEventDestroy(event);
    }
    cudaFreeHost(memory_);
  }

  const Queue queue_;
  size_t bytes_;
  unsigned char* memory_ = nullptr;  // [slots, bytes]
  std::vector<cudaEvent_t> copied_;  // [slots]
};

}  // namespace

std::unique_ptr<LateCopies> make_cuda_late_copies(const Queue& queue, size_t bytes, int64_t slots) {
  return std::make_unique<CudaLateCopies>(queue, bytes, slots);
}

}  // namespace sotalign::detail
#endif
