// Turns failures reported by kernels/cuda into the exceptions of the library.
#ifdef SOTALIGN_WITH_CUDA
#include "kernels/cuda/check.h"
#include "kernels/cuda/vendor.h"
#include "sotalign/core/error.h"

namespace sotalign::kernels::cuda {

void fail_cuda(const char* call, int code, const char* name) {
  if (code == cudaErrorMemoryAllocation)
    throw OutOfMemory(std::string("out of memory on the CUDA device in ") + call);
  throw CudaError(call, code, name);
}
void fail_library(const std::string& message) { throw Error(message); }
void fail_cublas(const char* call, int code, const char* name) { throw CublasError(call, code, name); }
void fail_cusolver(const char* call, int code, const char* name) { throw CusolverError(call, code, name); }

}  // namespace sotalign::kernels::cuda
#endif
