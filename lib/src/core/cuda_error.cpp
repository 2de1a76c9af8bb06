// Turns failures reported by kernels/cuda into the exceptions of the library.
#ifdef SOTALIGN_WITH_CUDA
#include "kernels/cuda/check.h"
#include "kernels/cuda/vendor.h"
#include "sotalign/core/error.h"

namespace sotalign::kernels::cuda {

namespace {
[[noreturn]] void fail_memory(const char* call) {
  throw OutOfMemory(std::string("out of memory on the CUDA device in ") + call);
}
}  // namespace

void fail_cuda(const char* call, int code, const char* name) {
  if (code == cudaErrorMemoryAllocation) fail_memory(call);
  throw CudaError(call, code, name);
}
void fail_library(const std::string& message) { throw Error(message); }
void fail_cublas(const char* call, int code, const char* name) {
  if (code == CUBLAS_STATUS_ALLOC_FAILED) fail_memory(call);
  throw CublasError(call, code, name);
}
void fail_cusolver(const char* call, int code, const char* name) {
  if (code == CUSOLVER_STATUS_ALLOC_FAILED) fail_memory(call);
  throw CusolverError(call, code, name);
}

}  // namespace sotalign::kernels::cuda
#endif
