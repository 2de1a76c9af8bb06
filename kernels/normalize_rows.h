// Scales rows to unit length, forward and backward, for cosine similarities.
#pragma once

#include <limits>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// Shorter rows count as zero: the inverse of their length could overflow float.
inline constexpr double kShortestRow = std::numeric_limits<float>::min();

/// y_i = x_i / |x_i|, norm_i = |x_i|. Rows shorter than kShortestRow give zeros and norm 0. One pass over x.
/// In place (y = x) is allowed.
struct NormalizeRows {
  const float* x = nullptr;  ///< [rows, cols]
  int64_t x_stride = 0;
  float* y = nullptr;  ///< [rows, cols]
  int64_t y_stride = 0;
  float* norms = nullptr;  ///< [rows], or null
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(normalize_rows, NormalizeRows)

/// dx_i = (dy_i - y_i <y_i, dy_i>) / norm_i, and 0 where norm_i = 0. In place (dx = dy) is allowed.
struct NormalizeRowsBackward {
  const float* y = nullptr;  ///< [rows, cols], the forward output
  int64_t y_stride = 0;
  const float* norms = nullptr;  ///< [rows], from the forward pass
  const float* dy = nullptr;     ///< [rows, cols]
  int64_t dy_stride = 0;
  float* dx = nullptr;  ///< [rows, cols]
  int64_t dx_stride = 0;
  int64_t rows = 0, cols = 0;
};
SOTALIGN_DECLARE_OPERATION(normalize_rows_backward, NormalizeRowsBackward)

}  // namespace sotalign::kernels
