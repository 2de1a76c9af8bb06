// Encoding: one block per row reads it once for its extremes and again, from cache, for its entries. Decoding
// is part of every sweep over an affinity, so it is vectorised: element-wise (elementwise.h), eight columns
// (16 bytes of q) at a time if all rows are 16-byte aligned.
#include "kernels/fixed_point.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/fixed_point_range.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kEncodeThreads = 256;
constexpr int kWide = 8;

__global__ void __launch_bounds__(kEncodeThreads) encode_kernel(EncodeFixedPoint args) {
  SOTALIGN_SHARED(float, scratch, [kMaxWarps]);
  const int64_t i = blockIdx.x;
  const float* x = args.x + i * args.x_stride;
  int16_t* q = args.q + i * args.q_stride;
  float highest = -INFINITY, below = -INFINITY;
  for (int64_t j = threadIdx.x; j < args.cols; j += kEncodeThreads) {
    highest = fmaxf(highest, x[j]);
    below = fmaxf(below, -x[j]);
  }
  highest = block_reduce(highest, scratch, -INFINITY, Maximum{});
  const float lowest = -block_reduce(below, scratch, -INFINITY, Maximum{});
  const FixedPointRange range = fixed_point_range(lowest, highest);
  if (threadIdx.x == 0) {
    args.centre[i] = range.centre;
    args.step[i] = range.step;
  }
  for (int64_t j = threadIdx.x; j < args.cols; j += kEncodeThreads) q[j] = to_fixed_point(x[j], range);
}

struct Nothing {};

template <int kCount>
struct Decode {
  static constexpr int kVector = kCount;
  DecodeFixedPoint args;

  __device__ Nothing column(int64_t, int64_t) const { return {}; }
  __device__ Vector<int16_t, kCount> load(int64_t i, int64_t j, int64_t count) const {
    return load_vector<kCount>(args.q + i * args.q_stride + j, count);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Vector<int16_t, kCount>& q,
                        Nothing) const {
    const float centre = args.centre[i], step = args.step[i];
    Vector<float, kCount> x;
#pragma unroll
    for (int e = 0; e < kCount; ++e) x.values[e] = fmaf(step, static_cast<float>(q.values[e]), centre);
    store_vector<kCount>(args.x + i * args.x_stride + j, count, x);
  }
};

}  // namespace

void encode_fixed_point(const Queue& queue, const EncodeFixedPoint& args) {
  launch(queue, "encode_fixed_point", encode_kernel, static_cast<unsigned>(args.rows), kEncodeThreads, 0,
         args);
}
void decode_fixed_point(const Queue& queue, const DecodeFixedPoint& args) {
  if (rows_are_aligned(args.x, args.x_stride) && rows_are_aligned(args.q, args.q_stride))
    launch_elementwise(queue, "decode_fixed_point", Decode<kWide>{args}, args.rows, args.cols);
  else
    launch_elementwise(queue, "decode_fixed_point", Decode<1>{args}, args.rows, args.cols);
}

}  // namespace sotalign::kernels::cuda
