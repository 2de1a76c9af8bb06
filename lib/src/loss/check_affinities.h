// What the divergences ask of the matrices that they are given.
#pragma once

#include "sotalign/core/matrix_view.h"

namespace sotalign::detail {

/// Throws InvalidArgument unless rows and cols are at least 1; `name` appears in the message.
void check_affinity_shape(const char* name, int64_t rows, int64_t cols);

/// Throws InvalidArgument unless all are [rows, cols]; the gradient may be absent (data null).
void check_affinities(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, int64_t rows,
                      int64_t cols);

}  // namespace sotalign::detail
