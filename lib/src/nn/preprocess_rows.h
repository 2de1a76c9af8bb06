// preprocess() with a mean that is in the memory of the context already.
#pragma once

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace sotalign::detail {

/// Queued, does not synchronize.
/// @param mean [cols], in the memory of the context
/// @param x [rows, cols]
/// @param y [rows, cols], the same memory as x or disjoint from it
void preprocess_rows(Context& context, const float* mean, ConstMatrixF x, MatrixF y);

}  // namespace sotalign::detail
