// Where an operation runs, and the dispatch of a call to a backend.
//
// The header of every operation declares an argument struct and uses SOTALIGN_DECLARE_OPERATION. The macro
// declares the implementation of each backend, `cpu::op` (kernels/cpu/op.cpp) and `cuda::op`
// (kernels/cuda/op.cu), and defines `op(queue, args)`, which lib/ calls. Operations take pointers, sizes,
// strides and a queue: they allocate nothing, read no configuration and leave argument checks to lib/. An
// operation that needs scratch memory reports the bytes through `op_scratch(queue, args)`, which reads only
// sizes: the pointers of args may still be null.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sotalign::kernels {

namespace cuda {
class LibraryHandles;
}

enum class Backend { kCpu, kCuda };

/// Operations on one queue run in order. A plain value, cheap to copy.
struct Queue {
  Backend backend = Backend::kCpu;
  int threads = 1;  ///< CPU: OpenMP threads an operation may use. Results do not depend on it.
  bool round_products =
      false;  ///< CPU: round factors as GemmMath says. Slow; to see what a device's units lose
  // CUDA only:
  int device = 0;           ///< ordinal of the device
  int multiprocessors = 1;  ///< SMs of the device; results do not depend on it
  void* stream = nullptr;   ///< cudaStream_t
  /// cuBLAS and cuSOLVER on `stream`; the context's, so that copies of the queue share it.
  cuda::LibraryHandles* libraries = nullptr;
  bool plain = false;        ///< only kernels that every device runs: no cooperative launches
  bool synchronous = false;  ///< for debugging: wait after each launch, so errors name their kernel
};

}  // namespace sotalign::kernels

namespace sotalign::detail {
/// The type that sotalign/core/context.h declares: public headers do not name the kernels' namespace. Through
/// its base, a call with a queue still finds operations without their namespace.
struct Queue : kernels::Queue {};
}  // namespace sotalign::detail

#ifdef SOTALIGN_WITH_CUDA
#define SOTALIGN_DECLARE_FUNCTION(Return, name, Args)                                         \
  namespace cpu {                                                                             \
  Return name(const Queue& queue, const Args& args);                                          \
  }                                                                                           \
  namespace cuda {                                                                            \
  Return name(const Queue& queue, const Args& args);                                          \
  }                                                                                           \
  inline Return name(const Queue& queue, const Args& args) {                                  \
    return queue.backend == Backend::kCpu ? cpu::name(queue, args) : cuda::name(queue, args); \
  }
#else
#define SOTALIGN_DECLARE_FUNCTION(Return, name, Args) \
  namespace cpu {                                     \
  Return name(const Queue& queue, const Args& args);  \
  }                                                   \
  inline Return name(const Queue& queue, const Args& args) { return cpu::name(queue, args); }
#endif

#define SOTALIGN_DECLARE_OPERATION(name, Args) SOTALIGN_DECLARE_FUNCTION(void, name, Args)
#define SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(name, Args) \
  SOTALIGN_DECLARE_FUNCTION(void, name, Args)               \
  SOTALIGN_DECLARE_FUNCTION(size_t, name##_scratch, Args)
