// Set-up around BLAS and LAPACK calls. OpenBLAS (OpenMP build) takes its thread count from the calling
// thread's OpenMP setting.
#pragma once

#include <omp.h>

#include <cstddef>

namespace sotalign::kernels::cpu {

/// Makes sure that OpenBLAS can map its buffers for `calls` more concurrent calls of `threads` threads each;
/// without them it hangs. Throws OutOfMemory. Call it before a parallel region that calls BLAS. Defined in
/// lib/src/core/blas_memory.cpp.
void prepare_blas_calls(int threads, int calls);

/// Bracket every call: prepare for it and count it. `scratch_bytes` is what LAPACK allocates on the heap
/// before it calls BLAS. Throws OutOfMemory.
void begin_blas_call(int threads, size_t scratch_bytes);
void end_blas_call();

/// Sets the thread count for a scope that calls BLAS. The count is local to the calling thread, so contexts
/// do not disturb each other.
class BlasThreads {
 public:
  explicit BlasThreads(int threads, size_t scratch_bytes = 0) : saved_(omp_get_max_threads()) {
    begin_blas_call(threads, scratch_bytes);
    omp_set_num_threads(threads);
  }
  ~BlasThreads() {
    omp_set_num_threads(saved_);
    end_blas_call();
  }
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  int saved_;
};

}  // namespace sotalign::kernels::cpu
