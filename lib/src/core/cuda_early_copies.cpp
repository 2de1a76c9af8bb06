// EarlyCopies on CUDA: pinned memory, a stream for the copies, and two events for each slot.
#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include <cstdlib>
#include <vector>

#include "core/early_copies.h"
#include "kernels/cuda/check.h"
#include "kernels/queue.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

namespace {

using kernels::cuda::check;

class CudaEarlyCopies final : public EarlyCopies {
 public:
  CudaEarlyCopies(Context& context, size_t bytes, int64_t slots)
      : queue_(context.queue()),
        bytes_(bytes),
        memory_(context, slots * static_cast<int64_t>(bytes), "batches on their way"),
        copied_(static_cast<size_t>(slots), nullptr),
        used_(static_cast<size_t>(slots), nullptr) {
    try {
      check(cudaSetDevice(queue_.device), "cudaSetDevice");
      allocate_host(bytes * copied_.size());
      check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
      for (std::vector<cudaEvent_t>* events : {&copied_, &used_})
        for (cudaEvent_t& event : *events)
          check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      // The first copies wait until the queue has filled the new memory with zeros.
      for (int64_t slot = 0; slot < slots; ++slot) end(slot);
    } catch (...) {
      release();
      throw;
    }
  }
  ~CudaEarlyCopies() override { release(); }
  CudaEarlyCopies(const CudaEarlyCopies&) = delete;
  CudaEarlyCopies& operator=(const CudaEarlyCopies&) = delete;

  void* host(int64_t slot) override {
    check(cudaSetDevice(queue_.device), "cudaSetDevice");
    check(cudaEventSynchronize(copied_[static_cast<size_t>(slot)]), "cudaEventSynchronize");
    return host_ + static_cast<size_t>(slot) * bytes_;
  }
  const void* begin(int64_t slot) override {
    const auto at = static_cast<size_t>(slot);
    unsigned char* to = memory_.data() + at * bytes_;
    check(cudaSetDevice(queue_.device), "cudaSetDevice");
    check(cudaStreamWaitEvent(copies_, used_[at], 0), "cudaStreamWaitEvent");
    check(cudaMemcpyAsync(to, host_ + at * bytes_, bytes_, cudaMemcpyHostToDevice, copies_),
          "cudaMemcpyAsync");
    check(cudaEventRecord(copied_[at], copies_), "cudaEventRecord");
    check(cudaStreamWaitEvent(stream(), copied_[at], 0), "cudaStreamWaitEvent");
    return to;
  }
  void end(int64_t slot) override {
    check(cudaEventRecord(used_[static_cast<size_t>(slot)], stream()), "cudaEventRecord");
  }

 private:
  cudaStream_t stream() const { return static_cast<cudaStream_t>(queue_.stream); }
  void allocate_host(size_t bytes) {
    void* memory = nullptr;
    const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
    pinned_ = error == cudaSuccess;
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it would come up at the next launch
      memory = std::malloc(bytes);
      if (memory == nullptr)
        throw OutOfMemory("out of memory on the host: no memory for batches on their way");
    } else {
      check(error, "cudaHostAlloc");
    }
    host_ = static_cast<unsigned char*>(memory);
  }
  // Waits for the copies: they use both memories.
  void release() noexcept {
    cudaSetDevice(queue_.device);
    if (copies_ != nullptr) {
      cudaStreamSynchronize(copies_);
      cudaStreamDestroy(copies_);
    }
    for (const std::vector<cudaEvent_t>* events : {&copied_, &used_})
      for (cudaEvent_t event : *events)
        if (event != nullptr) cudaEventDestroy(event);
    if (pinned_)
      cudaFreeHost(host_);
    else
      std::free(host_);
  }

  const Queue queue_;
  size_t bytes_;
  Buffer<unsigned char> memory_;   // [slots, bytes], on the device
  unsigned char* host_ = nullptr;  // likewise, on the host
  bool pinned_ = false;
  cudaStream_t copies_ = nullptr;
  std::vector<cudaEvent_t> copied_;  // [slots], on the stream of the copies
  std::vector<cudaEvent_t> used_;    // [slots], on the stream of the context
};

}  // namespace

std::unique_ptr<EarlyCopies> make_cuda_early_copies(Context& context, size_t bytes, int64_t slots) {
  return std::make_unique<CudaEarlyCopies>(context, bytes, slots);
}

}  // namespace sotalign::detail
#endif
