// cuBLAS is column-major: it reads our L as the upper triangle of L' and our B as B', and solves X' L' = B'.
#include "kernels/solve_triangular.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

void solve_triangular(const Queue& queue, const SolveTriangular& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  const double one = 1;
  check(cublas().dtrsm(blas_of(queue), CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N,
                       CUBLAS_DIAG_NON_UNIT, args.cols, args.n, &one, args.l, args.l_stride, args.b,
                       args.b_stride),
        "cublasDtrsm_64");
}

}  // namespace sotalign::kernels::cuda
