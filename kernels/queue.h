// Where an operation runs, and the one place where a call is sent to a backend.
//
// Every header in kernels/ declares an argument struct and uses SOTALIGN_DECLARE_OPERATION. The macro names
// the implementation of each backend, `cpu::op` (kernels/cpu/op.cpp) and later `cuda::op`
// (kernels/cuda/op.cu), and defines `op(queue, args)`, which is what lib/ calls. Operations know pointers,
// sizes, strides and a queue: they allocate nothing, read no configuration and leave argument checking to
// lib/.
#pragma once

#include <cstdint>

namespace sotalign::kernels {

enum class Backend { kCpu, kCuda };

/// Work is issued in order to a queue. A plain value, cheap to copy.
struct Queue {
  Backend backend = Backend::kCpu;
  int threads = 1;         ///< CPU: OpenMP threads an operation may use. Results do not depend on it.
  void* stream = nullptr;  ///< CUDA: the cudaStream_t.
};

}  // namespace sotalign::kernels

#ifdef SOTALIGN_WITH_CUDA
#define SOTALIGN_DECLARE_OPERATION(name, Args)                                         \
  namespace cpu {                                                                      \
  void name(const Queue& queue, const Args& args);                                     \
  }                                                                                    \
  namespace cuda {                                                                     \
  void name(const Queue& queue, const Args& args);                                     \
  }                                                                                    \
  inline void name(const Queue& queue, const Args& args) {                             \
    queue.backend == Backend::kCpu ? cpu::name(queue, args) : cuda::name(queue, args); \
  }
#else
#define SOTALIGN_DECLARE_OPERATION(name, Args)     \
  namespace cpu {                                  \
  void name(const Queue& queue, const Args& args); \
  }                                                \
  inline void name(const Queue& queue, const Args& args) { cpu::name(queue, args); }
#endif
