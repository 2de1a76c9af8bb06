// y_i = x_i - mean, element-wise (elementwise.h): reads x once and writes y once, four columns at a time if
// all rows are 16-byte aligned.
#include "kernels/center_rows.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWide = 4;

template <class T, int kCount>
struct Center {
  static constexpr int kVector = kCount;
  CenterRows<T> args;

  __device__ Vector<T, kCount> column(int64_t j, int64_t count) const {
    return load_entries<kCount>(args.mean + j, count);
  }
  __device__ Vector<float, kCount> load(int64_t i, int64_t j, int64_t count) const {
    return load_vector<kCount>(args.x + i * args.x_stride + j, count);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Vector<float, kCount>& x,
                        const Vector<T, kCount>& mean) const {
    Vector<T, kCount> y;
#pragma unroll
    for (int e = 0; e < kCount; ++e) y.values[e] = static_cast<T>(x.values[e]) - mean.values[e];
    store_vector<kCount>(args.y + i * args.y_stride + j, count, y);
  }
};

template <class T>
void center(const Queue& queue, const CenterRows<T>& args) {
  if (rows_are_aligned(args.x, args.x_stride) && rows_are_aligned(args.y, args.y_stride))
    launch_elementwise(queue, "center_rows", Center<T, kWide>{args}, args.rows, args.cols);
  else
    launch_elementwise(queue, "center_rows", Center<T, 1>{args}, args.rows, args.cols);
}

}  // namespace

void center_rows(const Queue& queue, const CenterRows<float>& args) { center(queue, args); }
void center_rows(const Queue& queue, const CenterRows<double>& args) { center(queue, args); }

}  // namespace sotalign::kernels::cuda
