// dgesdd without any transposition: our row-major A [m, n] is A' [n, m] to LAPACK, and A' = V S U'. Its left
// vectors, stored by columns, are our Vt by rows; its right vectors are our U.
#include "kernels/svd.h"

#include <lapacke.h>

#include <algorithm>

#include "kernels/cpu/blas_threads.h"

namespace sotalign::kernels::cpu {

size_t svd_scratch(const Queue&, const Svd&) { return 0; }

void svd(const Queue& queue, const Svd& args) {
  // Workspace: four squares of the smaller side, and blocks of up to 64 columns of both sides.
  const size_t m = static_cast<size_t>(args.m), n = static_cast<size_t>(args.n), least = std::min(m, n);
  const BlasThreads threads(queue.threads, (4 * least * least + 128 * (m + n)) * sizeof(double));
  const auto size = [](int64_t count) { return static_cast<lapack_int>(count); };
  *args.info = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', size(args.n), size(args.m), args.a, size(args.a_stride),
                              args.values, args.vt, size(args.vt_stride), args.u, size(args.u_stride));
}

}  // namespace sotalign::kernels::cpu
