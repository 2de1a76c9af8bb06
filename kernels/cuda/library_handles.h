// The handles of cuBLAS and cuSOLVER that a context owns. Each is made, and its library loaded, by the first
// operation that needs it: solves on given affinities need neither, and run where only the driver is
// installed.
#pragma once

#include <cublas_v2.h>
#include <cusolverDn.h>

#include "kernels/queue.h"

namespace sotalign::kernels::cuda {

/// Like its context, used by one thread at a time; several objects may be used at once.
class LibraryHandles {
 public:
  /// The handles will issue to `stream`, which belongs to `device` and outlives this object.
  LibraryHandles(int device, cudaStream_t stream) : device_(device), stream_(stream) {}
  ~LibraryHandles();
  LibraryHandles(const LibraryHandles&) = delete;
  LibraryHandles& operator=(const LibraryHandles&) = delete;

  /// Both throw if the library cannot be loaded, or has no memory for the handle. The next call tries again.
  cublasHandle_t blas();
  cusolverDnHandle_t solver();

 private:
  int device_;
  cudaStream_t stream_;
  cublasHandle_t blas_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
};

inline cublasHandle_t blas_of(const Queue& queue) { return queue.libraries->blas(); }
inline cusolverDnHandle_t solver_of(const Queue& queue) { return queue.libraries->solver(); }

}  // namespace sotalign::kernels::cuda
