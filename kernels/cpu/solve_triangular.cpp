#include "kernels/solve_triangular.h"

#include <cblas.h>

#include "kernels/cpu/blas_threads.h"

namespace sotalign::kernels::cpu {

void solve_triangular(const Queue& queue, const SolveTriangular& args) {
  const BlasThreads threads(queue.threads);
  const auto size = [](int64_t count) { return static_cast<blasint>(count); };
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, size(args.n), size(args.cols),
              1.0, args.l, size(args.l_stride), args.b, size(args.b_stride));
}

}  // namespace sotalign::kernels::cpu
