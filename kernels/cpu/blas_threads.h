// OpenBLAS (OpenMP build) takes its thread count from the calling thread's OpenMP setting.
#pragma once

#include <omp.h>

namespace sotalign::kernels::cpu {

/// Sets that count for a scope. It belongs to the calling thread alone, so contexts do not disturb each
/// other.
class BlasThreads {
 public:
  explicit BlasThreads(int threads) : saved_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~BlasThreads() { omp_set_num_threads(saved_); }
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  int saved_;
};

}  // namespace sotalign::kernels::cpu
