// Element-wise (elementwise.h), eight columns (16 bytes of q) at a time where all rows begin at multiples of
// 16 bytes.
#include "kernels/fixed_point.h"

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWide = 8;

struct Nothing {};

template <int kCount>
struct Encode {
  static constexpr int kVector = kCount;
  EncodeFixedPoint args;
  float scale;

  __device__ Nothing column(int64_t, int64_t) const { return {}; }
  __device__ Vector<float, kCount> load(int64_t i, int64_t j, int64_t count) const {
    return load_vector<kCount>(args.x + i * args.x_stride + j, count);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Vector<float, kCount>& x, Nothing) const {
    Vector<int16_t, kCount> q;
#pragma unroll
    for (int e = 0; e < kCount; ++e) {
      const float y = fmaxf(fminf(x.values[e] * scale, kFixedPointLimit), -kFixedPointLimit);
      q.values[e] = static_cast<int16_t>(static_cast<int32_t>(y + (y < 0 ? -0.5f : 0.5f)));
    }
    store_vector<kCount>(args.q + i * args.q_stride + j, count, q);
  }
};

template <int kCount>
struct Decode {
  static constexpr int kVector = kCount;
  DecodeFixedPoint args;
  float step;

  __device__ Nothing column(int64_t, int64_t) const { return {}; }
  __device__ Vector<int16_t, kCount> load(int64_t i, int64_t j, int64_t count) const {
    return load_vector<kCount>(args.q + i * args.q_stride + j, count);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Vector<int16_t, kCount>& q,
                        Nothing) const {
    Vector<float, kCount> x;
#pragma unroll
    for (int e = 0; e < kCount; ++e) x.values[e] = step * static_cast<float>(q.values[e]);
    store_vector<kCount>(args.x + i * args.x_stride + j, count, x);
  }
};

template <template <int> class Map, class Args>
void map(const Queue& queue, const char* name, const Args& args, float factor) {
  if (rows_are_aligned(args.x, args.x_stride) && rows_are_aligned(args.q, args.q_stride))
    launch_elementwise(queue, name, Map<kWide>{args, factor}, args.rows, args.cols);
  else
    launch_elementwise(queue, name, Map<1>{args, factor}, args.rows, args.cols);
}

}  // namespace

void encode_fixed_point(const Queue& queue, const EncodeFixedPoint& args) {
  map<Encode>(queue, "encode_fixed_point", args, kFixedPointLimit / args.bound);
}
void decode_fixed_point(const Queue& queue, const DecodeFixedPoint& args) {
  map<Decode>(queue, "decode_fixed_point", args, args.bound / kFixedPointLimit);
}

}  // namespace sotalign::kernels::cuda
