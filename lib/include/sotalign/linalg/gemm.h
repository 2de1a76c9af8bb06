// Matrix products.
#pragma once

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace sotalign {

enum class Op { kNone, kTranspose };

/// C = alpha op(A) op(B) + beta C. C [m, n] aliases neither A nor B; with beta = 0 its old content is not
/// read. Throws InvalidArgument when the shapes do not fit together.
void gemm(Context& context, Op op_a, Op op_b, float alpha, ConstMatrixF a, ConstMatrixF b, float beta,
          MatrixF c);
void gemm(Context& context, Op op_a, Op op_b, double alpha, ConstMatrixD a, ConstMatrixD b, double beta,
          MatrixD c);

}  // namespace sotalign
