// One thread per entry.
#include "kernels/cuda/scale_in_place.h"

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    scale_in_place_kernel(T* c, int64_t stride, int64_t rows, int64_t cols, T factor) {
  const int64_t entry = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (entry >= rows * cols) return;
  T& value = c[entry / cols * stride + entry % cols];
  value = factor == 0 ? T{0} : factor * value;  // not 0 * NaN
}

}  // namespace

template <class T>
void scale_in_place(const Queue& queue, T* c, int64_t stride, int64_t rows, int64_t cols, T factor) {
  launch(queue, "scale_in_place", scale_in_place_kernel<T>, blocks_for(rows * cols, kThreads), kThreads, 0, c,
         stride, rows, cols, factor);
}

template void scale_in_place(const Queue&, float*, int64_t, int64_t, int64_t, float);
template void scale_in_place(const Queue&, double*, int64_t, int64_t, int64_t, double);

}  // namespace sotalign::kernels::cuda
