// An affinity in half the memory.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// Entries in 16 bits, each row in its own range (kernels/fixed_point.h): an entry is off by 1 / 131068 of
/// what its row spans at most, 1.5e-5 where that is [-1, 1].
struct FixedPointMatrix {
  FixedPointMatrix() = default;
  FixedPointMatrix(Context& context, int64_t rows, int64_t cols, const char* purpose)
      : q(context, rows, cols, purpose), centre(context, rows, purpose), step(context, rows, purpose) {}

  /// Rows [first_row, first_row + x.rows) become those of x, [.., columns], finite. Queued.
  void encode(Context& context, ConstMatrixF x, int64_t first_row = 0);

  Matrix<int16_t> q;
  Buffer<float> centre, step;  ///< [rows]
};

}  // namespace sotalign
