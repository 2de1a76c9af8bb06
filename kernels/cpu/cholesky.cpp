#include "kernels/cholesky.h"

#include <lapacke.h>

#include "kernels/cpu/blas_threads.h"

namespace sotalign::kernels::cpu {

size_t cholesky_scratch(const Queue&, const Cholesky&) { return 0; }

void cholesky(const Queue& queue, const Cholesky& args) {
  const BlasThreads threads(queue.threads);
  // Our lower triangle is the upper one in column-major order, where A = U'U.
  *args.info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', static_cast<lapack_int>(args.n), args.a,
                              static_cast<lapack_int>(args.a_stride));
}

}  // namespace sotalign::kernels::cpu
