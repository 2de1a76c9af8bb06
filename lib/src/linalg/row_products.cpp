#include "sotalign/linalg/row_products.h"

#include "kernels/gather_rows.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

void gather_rows(Context& context, ConstMatrixF from, const int64_t* index, MatrixF to) {
  kernels::gather_rows(context.queue(), {.x = from.data,
                                         .x_stride = from.stride,
                                         .index = index,
                                         .y = to.data,
                                         .y_stride = to.stride,
                                         .rows = to.rows,
                                         .cols = to.cols});
}

void cosines(Context& context, ConstMatrixF a, ConstMatrixF b, MatrixF k) {
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, a, b, 0.0f, k);
}

void cosines_backward(Context& context, ConstMatrixF a, ConstMatrixF b, ConstMatrixF dk, MatrixF da,
                      MatrixF db, Write write) {
  const float beta = write == Write::kAdd ? 1.0f : 0.0f;
  gemm(context, Op::kNone, Op::kNone, 1.0f, dk, b, beta, da);
  gemm(context, Op::kTranspose, Op::kNone, 1.0f, dk, a, beta, db);
}

}  // namespace sotalign
