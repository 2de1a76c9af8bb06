#include "kernels/cholesky.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

namespace {
// Our lower triangle is the upper one in column-major order, where A = U'U.
int work_size(const Queue& queue, const Cholesky& args) {
  int size = 0;
  check(cusolver().dpotrf_buffer_size(solver_of(queue), CUBLAS_FILL_MODE_UPPER, static_cast<int>(args.n),
                                      args.a, static_cast<int>(args.a_stride), &size),
        "cusolverDnDpotrf_bufferSize");
  return size;
}
}  // namespace

size_t cholesky_scratch(const Queue& queue, const Cholesky& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  return static_cast<size_t>(work_size(queue, args)) * sizeof(double);
}

void cholesky(const Queue& queue, const Cholesky& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  check(cusolver().dpotrf(solver_of(queue), CUBLAS_FILL_MODE_UPPER, static_cast<int>(args.n), args.a,
                          static_cast<int>(args.a_stride), static_cast<double*>(args.scratch),
                          work_size(queue, args), args.info),
        "cusolverDnDpotrf");
}

}  // namespace sotalign::kernels::cuda
