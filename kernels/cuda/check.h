// Turns status codes of the CUDA runtime into exceptions.
#pragma once

#include <cuda_runtime.h>

namespace sotalign::kernels::cuda {

/// Throws. Defined in lib/, which owns the exception classes.
[[noreturn]] void fail_cuda(const char* call, int code, const char* name);

inline void check(cudaError_t code, const char* call) {
  if (code != cudaSuccess) fail_cuda(call, static_cast<int>(code), cudaGetErrorName(code));
}

}  // namespace sotalign::kernels::cuda
