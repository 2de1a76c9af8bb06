// C <- factor C, the result of a GEMM with k = 0.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels::cuda {

/// C is [rows, cols]. With factor = 0 it need not be initialised. T is float or double.
template <class T>
void scale_in_place(const Queue& queue, T* c, int64_t stride, int64_t rows, int64_t cols, T factor);

}  // namespace sotalign::kernels::cuda
