// cusolverDnDsyevd: divide and conquer, as on the CPU.
#include "kernels/eigh.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

namespace {
int work_size(const Queue& queue, const Eigh& args) {
  int size = 0;
  check(cusolver().dsyevd_buffer_size(solver_of(queue), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER,
                                      static_cast<int>(args.n), args.a, static_cast<int>(args.a_stride),
                                      args.values, &size),
        "cusolverDnDsyevd_bufferSize");
  return size;
}
}  // namespace

size_t eigh_scratch(const Queue& queue, const Eigh& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  return static_cast<size_t>(work_size(queue, args)) * sizeof(double);
}

void eigh(const Queue& queue, const Eigh& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  // The upper triangle in column-major order is our lower one.
  check(cusolver().dsyevd(solver_of(queue), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER,
                          static_cast<int>(args.n), args.a, static_cast<int>(args.a_stride), args.values,
                          static_cast<double*>(args.scratch), work_size(queue, args), args.info),
        "cusolverDnDsyevd");
}

}  // namespace sotalign::kernels::cuda
