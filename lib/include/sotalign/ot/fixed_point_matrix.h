// An affinity in 16 bits per entry, half the memory of floats.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// A matrix in 16-bit fixed point, each row with its own range (kernels/fixed_point.h). The error of an entry
/// is at most 1 / 131068 of its row's range: 1.5e-5 for a range of [-1, 1].
struct FixedPointMatrix {
  FixedPointMatrix() = default;
  FixedPointMatrix(Context& context, int64_t rows, int64_t cols, const char* purpose)
      : q(context, rows, cols, purpose), centre(context, rows, purpose), step(context, rows, purpose) {}

  /// Encodes x [.., cols], finite, into rows [first_row, first_row + x.rows). Queues its work and returns.
  /// Throws InvalidArgument if the rows or columns of x do not fit.
  void encode(Context& context, ConstMatrixF x, int64_t first_row = 0);

  Matrix<int16_t> q;
  Buffer<float> centre, step;  ///< [rows]
};

}  // namespace sotalign
