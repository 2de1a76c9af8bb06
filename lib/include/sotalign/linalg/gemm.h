// Matrix products.
#pragma once

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// How gemm() reads an operand: as stored, or transposed.
enum class Op { kNone, kTranspose };

/// C = alpha op(A) op(B) + beta C, with op(A) [m, k], op(B) [k, n] and C [m, n]. C overlaps neither A nor B;
/// if beta = 0, C is not read. Throws InvalidArgument if the shapes do not match.
void gemm(Context& context, Op op_a, Op op_b, float alpha, ConstMatrixF a, ConstMatrixF b, float beta,
          MatrixF c);
void gemm(Context& context, Op op_a, Op op_b, double alpha, ConstMatrixD a, ConstMatrixD b, double beta,
          MatrixD c);

}  // namespace sotalign
