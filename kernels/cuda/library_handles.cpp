#include "kernels/cuda/library_handles.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

LibraryHandles::~LibraryHandles() {
  if (blas_ == nullptr && solver_ == nullptr) return;
  cudaSetDevice(device_);
  if (solver_ != nullptr) cusolver().destroy(solver_);
  if (blas_ != nullptr) cublas().destroy(blas_);
}

cublasHandle_t LibraryHandles::blas() {
  if (blas_ != nullptr) return blas_;
  const Cublas& library = cublas();
  check(cudaSetDevice(device_), "cudaSetDevice");
  cublasHandle_t handle = nullptr;
  check(library.create(&handle), "cublasCreate");
  if (const cublasStatus_t code = library.set_stream(handle, stream_); code != CUBLAS_STATUS_SUCCESS) {
    library.destroy(handle);
    check(code, "cublasSetStream");
  }
  return blas_ = handle;
}

cusolverDnHandle_t LibraryHandles::solver() {
  if (solver_ != nullptr) return solver_;
  const Cusolver& library = cusolver();
  check(cudaSetDevice(device_), "cudaSetDevice");
  cusolverDnHandle_t handle = nullptr;
  check(library.create(&handle), "cusolverDnCreate");
  if (const cusolverStatus_t code = library.set_stream(handle, stream_); code != CUSOLVER_STATUS_SUCCESS) {
    library.destroy(handle);
    check(code, "cusolverDnSetStream");
  }
  return solver_ = handle;
}

}  // namespace sotalign::kernels::cuda
