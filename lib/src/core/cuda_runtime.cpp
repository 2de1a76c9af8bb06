// The CUDA backend of a Context: a device, an owned or adopted stream, and the handles of cuBLAS and cuSOLVER
// on that stream, which the first operation that needs them makes.
#ifdef SOTALIGN_WITH_CUDA
#include <cuda_runtime.h>

#include <optional>

#include "core/runtime.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"

namespace sotalign::detail {

namespace {

using kernels::cuda::check;

class CudaRuntime final : public Runtime {
 public:
  CudaRuntime(int index, std::optional<CudaStream> adopted) : owns_stream_(!adopted) {
    queue.backend = kernels::Backend::kCuda;
    queue.device = index;
    queue.plain = is_one("SOTALIGN_PLAIN");
    queue.synchronous = is_one("SOTALIGN_SYNCHRONOUS");
    try {
      use();
      check(cudaDeviceGetAttribute(&queue.multiprocessors, cudaDevAttrMultiProcessorCount, index),
            "cudaDeviceGetAttribute");
      cudaStream_t stream = adopted.value_or(nullptr);
      // A non-blocking stream does not synchronize with what other libraries queue on the legacy default
      // stream.
      if (owns_stream_)
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
      queue.stream = stream;
      libraries_.emplace(index, stream);
      queue.libraries = &*libraries_;
    } catch (...) {
      release();
      throw;
    }
  }
  ~CudaRuntime() override { release(); }
  CudaRuntime(const CudaRuntime&) = delete;
  CudaRuntime& operator=(const CudaRuntime&) = delete;

  void select() noexcept override { cudaSetDevice(queue.device); }
  void* allocate(size_t bytes) override {
    use();
    void* pointer = nullptr;
    const cudaError_t code = cudaMalloc(&pointer, bytes);
    if (code == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // clears the error: the context remains usable
      return nullptr;
    }
    check(code, "cudaMalloc");
    return pointer;
  }
  void deallocate(void* pointer) noexcept override {
    cudaSetDevice(queue.device);
    // cudaFree waits in practice, but nothing promises it. The next checked call reports a failure.
    cudaStreamSynchronize(stream());
    cudaFree(pointer);
  }
  int64_t free_bytes() const override {
    size_t free = 0, total = 0;
    if (cudaSetDevice(queue.device) != cudaSuccess) return -1;
    return cudaMemGetInfo(&free, &total) == cudaSuccess ? static_cast<int64_t>(free) : -1;
  }
  void copy_to_device(void* destination, const void* source, size_t bytes) override {
    copy(destination, source, bytes, cudaMemcpyHostToDevice);
    synchronize();
  }
  void copy_to_host(void* destination, const void* source, size_t bytes) override {
    copy(destination, source, bytes, cudaMemcpyDeviceToHost);
    synchronize();
  }
  void copy_on_device(void* destination, const void* source, size_t bytes) override {
    copy(destination, source, bytes, cudaMemcpyDeviceToDevice);
  }
  void fill_zero(void* destination, size_t bytes) override {
    use();
    check(cudaMemsetAsync(destination, 0, bytes, stream()), "cudaMemsetAsync");
  }
  void synchronize() override {
    use();
    check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
  }
  void load_libraries() override {
    libraries_->blas();
    libraries_->solver();
  }

 private:
  cudaStream_t stream() const { return static_cast<cudaStream_t>(queue.stream); }
  void use() const { check(cudaSetDevice(queue.device), "cudaSetDevice"); }
  void copy(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind) {
    use();
    check(cudaMemcpyAsync(destination, source, bytes, kind, stream()), "cudaMemcpyAsync");
  }
  void release() noexcept {
    libraries_.reset();
    cudaSetDevice(queue.device);
    if (owns_stream_ && queue.stream != nullptr) cudaStreamDestroy(stream());
  }

  bool owns_stream_;
  std::optional<kernels::cuda::LibraryHandles> libraries_;
};

}  // namespace

std::unique_ptr<Runtime> make_cuda_runtime(int index, std::optional<CudaStream> stream) {
  return std::make_unique<CudaRuntime>(index, stream);
}

}  // namespace sotalign::detail
#endif
