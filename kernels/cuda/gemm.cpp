// GEMM by cuBLAS, which is column-major and reads our A as A'. C' = B' A' only swaps the operands and
// transposes no data. Empty sums (k = 0) are handled here: the documentation of cuBLAS does not define C for
// them, and some versions have returned without touching it.
#include "kernels/gemm.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"
#include "kernels/cuda/scale_in_place.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

namespace {

cublasOperation_t op(Transpose t) { return t == Transpose::kYes ? CUBLAS_OP_T : CUBLAS_OP_N; }

cublasComputeType_t compute_type(GemmMath math) {
  switch (math) {
    case GemmMath::kTf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case GemmMath::kBf16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
    case GemmMath::kFp32:
      break;
  }
  return CUBLAS_COMPUTE_32F;
}

}  // namespace

void gemm(const Queue& queue, const Gemm<float>& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) return scale_in_place(queue, args.c, args.c_stride, args.m, args.n, args.beta);
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  check(cublas().gemm_ex(blas_of(queue), op(args.transpose_b), op(args.transpose_a), args.n, args.m, args.k,
                         &args.alpha, args.b, CUDA_R_32F, args.b_stride, args.a, CUDA_R_32F, args.a_stride,
                         &args.beta, args.c, CUDA_R_32F, args.c_stride, compute_type(args.math),
                         CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx_64");
}

void gemm(const Queue& queue, const Gemm<double>& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) return scale_in_place(queue, args.c, args.c_stride, args.m, args.n, args.beta);
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  check(cublas().dgemm(blas_of(queue), op(args.transpose_b), op(args.transpose_a), args.n, args.m, args.k,
                       &args.alpha, args.b, args.b_stride, args.a, args.a_stride, &args.beta, args.c,
                       args.c_stride),
        "cublasDgemm_64");
}

}  // namespace sotalign::kernels::cuda
