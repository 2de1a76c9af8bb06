// y_ij = r_i x_ij c_j, element-wise (elementwise.h): reads x once and writes y once, two columns (16 bytes of
// x) at a time if all rows are 16-byte aligned.
#include "kernels/scale_matrix.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWide = 2;

template <class T, int kCount>
struct Scale {
  static constexpr int kVector = kCount;
  using Entries = Vector<double, kCount>;
  struct Row {
    Entries x;
    double factor;
  };
  ScaleMatrix<T> args;

  __device__ Entries column(int64_t j, int64_t count) const {
    if (args.column_factors != nullptr) return load_entries<kCount>(args.column_factors + j, count);
    Entries ones;
#pragma unroll
    for (int e = 0; e < kCount; ++e) ones.values[e] = 1.0;
    return ones;
  }
  __device__ Row load(int64_t i, int64_t j, int64_t count) const {
    return {load_vector<kCount>(args.x + i * args.x_stride + j, count),
            args.row_factors != nullptr ? args.row_factors[i] : 1.0};
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Row& row, const Entries& column) const {
    Vector<T, kCount> y;
#pragma unroll
    for (int e = 0; e < kCount; ++e)
      y.values[e] = static_cast<T>(row.factor * row.x.values[e] * column.values[e]);
    store_vector<kCount>(args.y + i * args.y_stride + j, count, y);
  }
};

template <class T>
void scale(const Queue& queue, const ScaleMatrix<T>& args) {
  if (rows_are_aligned(args.x, args.x_stride) && rows_are_aligned(args.y, args.y_stride))
    launch_elementwise(queue, "scale_matrix", Scale<T, kWide>{args}, args.rows, args.cols);
  else
    launch_elementwise(queue, "scale_matrix", Scale<T, 1>{args}, args.rows, args.cols);
}

}  // namespace

void scale_matrix(const Queue& queue, const ScaleMatrix<float>& args) { scale(queue, args); }
void scale_matrix(const Queue& queue, const ScaleMatrix<double>& args) { scale(queue, args); }

}  // namespace sotalign::kernels::cuda
