#include "sotalign/ot/fixed_point_matrix.h"

#include <fmt/format.h>

#include "kernels/fixed_point.h"
#include "sotalign/core/error.h"

namespace sotalign {

void FixedPointMatrix::encode(Context& context, ConstMatrixF x, int64_t first_row) {
  if (x.cols != q.cols() || first_row < 0 || first_row + x.rows > q.rows())
    throw InvalidArgument(fmt::format("fixed point: expected rows of [{}, {}], found [{}, {}] from row {}",
                                      q.rows(), q.cols(), x.rows, x.cols, first_row));
  kernels::encode_fixed_point(context.queue(), {.x = x.data,
                                                .x_stride = x.stride,
                                                .q = q.view().row(first_row),
                                                .q_stride = q.cols(),
                                                .centre = centre.data() + first_row,
                                                .step = step.data() + first_row,
                                                .rows = x.rows,
                                                .cols = x.cols});
}

}  // namespace sotalign
