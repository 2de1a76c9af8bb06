// An affinity in half the memory.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// A matrix of 16-bit entries, with a range for each row (kernels/fixed_point.h). The error of an entry is at
/// most 1 / 131068 of the range of its row: 1.5e-5 for a range of [-1, 1].
struct FixedPointMatrix {
  FixedPointMatrix() = default;
  FixedPointMatrix(Context& context, int64_t rows, int64_t cols, const char* purpose)
      : q(context, rows, cols, purpose), centre(context, rows, purpose), step(context, rows, purpose) {}

  /// Encodes x, [rows of x, columns], finite, into the rows from first_row on. Queues its work and returns.
  /// Throws InvalidArgument for rows that do not fit.
  void encode(Context& context, ConstMatrixF x, int64_t first_row = 0);

  Matrix<int16_t> q;
  Buffer<float> centre, step;  ///< [rows]
};

}  // namespace sotalign
