// What a call of BLAS or LAPACK needs around it. OpenBLAS (OpenMP build) takes its thread count from the
// calling thread's OpenMP setting.
#pragma once

#include <omp.h>

#include <cstddef>

namespace sotalign::kernels::cpu {

/// Makes sure that OpenBLAS can have its buffers for so many more calls at the same time, with so many
/// threads; without them it hangs. Throws OutOfMemory. A parallel region
/// from which BLAS is called prepares for that before it begins. In lib/src/core/blas_memory.cpp.
void prepare_blas_calls(int threads, int calls);

/// Around every call: prepares for it and counts it. `scratch_bytes` is what LAPACK takes from the heap
/// before it calls BLAS in turn. Throws OutOfMemory.
void begin_blas_call(int threads, size_t scratch_bytes);
void end_blas_call();

/// Sets the thread count for a scope in which BLAS is called. The count belongs to the calling thread alone,
/// so contexts do not disturb each other.
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
