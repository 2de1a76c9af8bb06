// dsyevd: divide and conquer, LAPACK's fastest routine for all eigenvectors.
#include "kernels/eigh.h"

#include <lapacke.h>

#include "kernels/cpu/blas_threads.h"

namespace sotalign::kernels::cpu {

size_t eigh_scratch(const Queue&, const Eigh&) { return 0; }

void eigh(const Queue& queue, const Eigh& args) {
  const size_t n = static_cast<size_t>(args.n);
  const BlasThreads threads(queue.threads, (2 * n * n + 10 * n) * sizeof(double));
  // The upper triangle in column-major order is our lower one.
  *args.info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', static_cast<lapack_int>(args.n), args.a,
                              static_cast<lapack_int>(args.a_stride), args.values);
}

}  // namespace sotalign::kernels::cpu
