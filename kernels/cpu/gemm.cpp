// GEMM by CBLAS.
#include "kernels/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <vector>

#include "kernels/cpu/blas_threads.h"
#include "kernels/round_significand.h"

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

/// A copy of a factor [rows, cols], rounded.
std::vector<float> rounded(const float* x, int64_t rows, int64_t cols, int64_t stride, int bits) {
  std::vector<float> copy;
  copy.reserve(static_cast<size_t>(rows * cols));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) copy.push_back(round_significand(x[i * stride + j], bits));
  return copy;
}

void call_with_rounded_factors(const Queue& queue, Gemm<float> args) {
  const int bits = significant_bits(args.math);
  const auto shape = [](Transpose transpose, int64_t rows, int64_t cols) {
    return transpose == Transpose::kYes ? std::pair(cols, rows) : std::pair(rows, cols);
  };
  const auto [a_rows, a_cols] = shape(args.transpose_a, args.m, args.k);
  const auto [b_rows, b_cols] = shape(args.transpose_b, args.k, args.n);
  const std::vector<float> a = rounded(args.a, a_rows, a_cols, args.a_stride, bits),
                           b = rounded(args.b, b_rows, b_cols, args.b_stride, bits);
  args.a = a.data(), args.a_stride = a_cols;
  args.b = b.data(), args.b_stride = b_cols;
  call_blas(cblas_sgemm, queue, args);
}
}  // namespace

void gemm(const Queue& queue, const Gemm<float>& args) {
  if (queue.round_products && args.math != GemmMath::kFp32)
    call_with_rounded_factors(queue, args);
  else
    call_blas(cblas_sgemm, queue, args);
}
void gemm(const Queue& queue, const Gemm<double>& args) { call_blas(cblas_dgemm, queue, args); }

}  // namespace sotalign::kernels::cpu
