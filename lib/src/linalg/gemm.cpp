#include "sotalign/linalg/gemm.h"

#include <fmt/format.h>

#include <limits>

#include "kernels/gemm.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
template <class T>
void checked_gemm(Context& context, Op op_a, Op op_b, T alpha, MatrixView<const T> a, MatrixView<const T> b,
                  T beta, MatrixView<T> c) {
  const bool ta = op_a == Op::kTranspose, tb = op_b == Op::kTranspose;
  const int64_t m = ta ? a.cols : a.rows, k = ta ? a.rows : a.cols;
  const int64_t kb = tb ? b.cols : b.rows, n = tb ? b.rows : b.cols;
  if (k != kb || c.rows != m || c.cols != n)
    throw InvalidArgument(fmt::format("gemm: op(A) is [{}, {}], op(B) is [{}, {}], C is [{}, {}]", m, k, kb,
                                      n, c.rows, c.cols));
  constexpr int64_t kLimit = std::numeric_limits<int32_t>::max();  // the sizes of the CPU's BLAS
  for (const int64_t size : {m, n, k, a.stride, b.stride, c.stride})
    if (size > kLimit)
      throw InvalidArgument(
          fmt::format("gemm: sizes and strides up to {} are possible, found {}", kLimit, size));
  static_assert(static_cast<int>(ProductMath::kTf32) == static_cast<int>(kernels::GemmMath::kTf32) &&
                static_cast<int>(ProductMath::kBf16) == static_cast<int>(kernels::GemmMath::kBf16));
  const auto op = [](bool t) { return t ? kernels::Transpose::kYes : kernels::Transpose::kNo; };
  kernels::gemm(context.queue(),
                kernels::Gemm<T>{.transpose_a = op(ta),
                                 .transpose_b = op(tb),
                                 .math = static_cast<kernels::GemmMath>(context.product_math()),
                                 .m = m,
                                 .n = n,
                                 .k = k,
                                 .alpha = alpha,
                                 .a = a.data,
                                 .a_stride = a.stride,
                                 .b = b.data,
                                 .b_stride = b.stride,
                                 .beta = beta,
                                 .c = c.data,
                                 .c_stride = c.stride});
}
}  // namespace

void gemm(Context& context, Op op_a, Op op_b, float alpha, ConstMatrixF a, ConstMatrixF b, float beta,
          MatrixF c) {
  checked_gemm(context, op_a, op_b, alpha, a, b, beta, c);
}
void gemm(Context& context, Op op_a, Op op_b, double alpha, ConstMatrixD a, ConstMatrixD b, double beta,
          MatrixD c) {
  checked_gemm(context, op_a, op_b, alpha, a, b, beta, c);
}

}  // namespace sotalign
