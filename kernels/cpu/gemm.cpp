// GEMM by CBLAS.
#include "kernels/gemm.h"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/blas_threads.h"

namespace sotalign::kernels::cpu {

namespace {
template <class T, class Function>
void call_blas(Function cblas_gemm, const Queue& queue, const Gemm<T>& args) {
  if (args.m == 0 || args.n == 0) return;
  const BlasThreads threads(queue.threads);
  const auto op = [](Transpose t) { return t == Transpose::kYes ? CblasTrans : CblasNoTrans; };
  // lib/ has checked that sizes and strides fit BLAS's 32-bit integers.
  const auto size = [](int64_t n) { return static_cast<blasint>(n); };
  // A matrix without columns (k = 0) has stride 0, which BLAS rejects.
  const auto stride = [](int64_t n) { return static_cast<blasint>(std::max(n, int64_t{1})); };
  cblas_gemm(CblasRowMajor, op(args.transpose_a), op(args.transpose_b), size(args.m), size(args.n),
             size(args.k), args.alpha, args.a, stride(args.a_stride), args.b, stride(args.b_stride),
             args.beta, args.c, stride(args.c_stride));
}
}  // namespace

void gemm(const Queue& queue, const Gemm<float>& args) { call_blas(cblas_sgemm, queue, args); }
void gemm(const Queue& queue, const Gemm<double>& args) { call_blas(cblas_dgemm, queue, args); }

}  // namespace sotalign::kernels::cpu
