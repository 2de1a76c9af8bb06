// Checks of the affinities and temperatures that divergences take.
#pragma once

#include "sotalign/core/matrix_view.h"

namespace sotalign::detail {

/// Throws InvalidArgument unless rows and cols are at least 1; `name` appears in the message.
void check_affinity_shape(const char* name, int64_t rows, int64_t cols);

/// Throws InvalidArgument unless all are [rows, cols]. The gradient may be absent (data null).
void check_affinities(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, int64_t rows,
                      int64_t cols);

/// 1 / epsilon in single precision, which kernels multiply by. Throws InvalidArgument unless epsilon > 0 and
/// the result is a normal number.
float inverse(const char* name, double epsilon);

}  // namespace sotalign::detail
