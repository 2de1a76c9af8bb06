// Row operations that losses and training methods share. They queue their work on the context's stream and
// return at once.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// Row i of `to` is row index[i] of `from`.
/// @param from [n, d]
/// @param index [m], each in [0, n), in the memory of the context
/// @param to [m, d], does not overlap `from`
void gather_rows(Context& context, ConstMatrixF from, const int64_t* index, MatrixF to);

/// Whether a function overwrites a gradient or adds to it.
enum class Write { kOver, kAdd };

/// K = A B': the cosines of unit rows a [n, d] and b [m, d], into k [n, m].
void cosines(Context& context, ConstMatrixF a, ConstMatrixF b, MatrixF k);

/// The backward pass of cosines(): from dK [n, m], dA = dK B [n, d] and dB = dK' A [m, d]. da and db overlap
/// none of the inputs.
void cosines_backward(Context& context, ConstMatrixF a, ConstMatrixF b, ConstMatrixF dk, MatrixF da,
                      MatrixF db, Write write = Write::kOver);

}  // namespace sotalign
