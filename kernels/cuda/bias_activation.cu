// Bias and activation, element-wise (elementwise.h) in one pass: reads x, or dy and the saved matrix, once
// and writes the result once. Uses 16-byte accesses of four columns if all rows are 16-byte aligned. The bias
// need not be aligned: it may start anywhere among the parameters, and is read once for several rows. One
// kernel per activation, chosen on the host.
#include "kernels/bias_activation.h"

#include <cmath>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWide = 4;

/// Normal distribution function, by erfc rather than erf: its error stays relative where Phi is small.
__device__ __forceinline__ float normal_cdf(float z) { return 0.5f * erfcf(z * -0.70710678118654752f); }
__device__ __forceinline__ float normal_density(float z) {
  return expf(z * z * -0.5f) * 0.39894228040143268f;
}

/// The activation at z = x + bias.
template <Activation kActivation>
__device__ __forceinline__ float activate(float z) {
  if constexpr (kActivation == Activation::kNone) return z;
  if constexpr (kActivation == Activation::kRelu) return z < 0.0f ? 0.0f : z;  // fmaxf would lose a NaN
  if constexpr (kActivation == Activation::kGelu) return z * normal_cdf(z);
  if constexpr (kActivation == Activation::kTanh) return tanhf(z);
}

/// dy times the derivative; `saved` is z = x + bias if the activation needs it, and y otherwise.
template <Activation kActivation>
__device__ __forceinline__ float chain(float dy, float saved) {
  if constexpr (kActivation == Activation::kNone) return dy;
  if constexpr (kActivation == Activation::kRelu) return saved <= 0.0f ? 0.0f : dy;
  if constexpr (kActivation == Activation::kGelu)
    return dy * fmaf(saved, normal_density(saved), normal_cdf(saved));
  if constexpr (kActivation == Activation::kTanh) return dy * fmaf(-saved, saved, 1.0f);
}

template <Activation kActivation, int kCount>
struct Forward {
  static constexpr int kVector = kCount;
  using Entries = Vector<float, kCount>;
  BiasActivation args;

  __device__ Entries column(int64_t j, int64_t count) const {
    return load_entries<kCount>(args.bias + j, count);
  }
  __device__ Entries load(int64_t i, int64_t j, int64_t count) const {
    return load_vector<kCount>(args.x + i * args.x_stride + j, count);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, Entries x, const Entries& bias) const {
#pragma unroll
    for (int e = 0; e < kCount; ++e) x.values[e] = activate<kActivation>(x.values[e] + bias.values[e]);
    store_vector<kCount>(args.y + i * args.y_stride + j, count, x);
  }
};

template <Activation kActivation, int kCount>
struct Backward {
  static constexpr int kVector = kCount;
  static constexpr bool kFromInput = backward_needs_input(kActivation);
  using Entries = Vector<float, kCount>;
  struct Pair {
    Entries saved, dy;
  };
  BiasActivationBackward args;

  __device__ Entries column(int64_t j, int64_t count) const {
    if constexpr (kFromInput) return load_entries<kCount>(args.bias + j, count);
    return {};
  }
  __device__ Pair load(int64_t i, int64_t j, int64_t count) const {
    return {load_vector<kCount>(args.saved + i * args.saved_stride + j, count),
            load_vector<kCount>(args.dy + i * args.dy_stride + j, count)};
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, Pair pair, const Entries& bias) const {
#pragma unroll
    for (int e = 0; e < kCount; ++e) {
      const float saved = kFromInput ? pair.saved.values[e] + bias.values[e] : pair.saved.values[e];
      pair.dy.values[e] = chain<kActivation>(pair.dy.values[e], saved);
    }
    store_vector<kCount>(args.dx + i * args.dx_stride + j, count, pair.dy);
  }
};

template <template <Activation, int> class Map, Activation kActivation, class Args>
void run(const Queue& queue, const char* name, const Args& args, bool aligned) {
  if (aligned)
    launch_elementwise(queue, name, Map<kActivation, kWide>{args}, args.rows, args.cols);
  else
    launch_elementwise(queue, name, Map<kActivation, 1>{args}, args.rows, args.cols);
}

template <template <Activation, int> class Map, class Args>
void run(const Queue& queue, const char* name, const Args& args, bool aligned) {
  switch (args.activation) {
    case Activation::kNone:
      return run<Map, Activation::kNone>(queue, name, args, aligned);
    case Activation::kRelu:
      return run<Map, Activation::kRelu>(queue, name, args, aligned);
    case Activation::kGelu:
      return run<Map, Activation::kGelu>(queue, name, args, aligned);
    case Activation::kTanh:
      return run<Map, Activation::kTanh>(queue, name, args, aligned);
  }
}

}  // namespace

void bias_activation(const Queue& queue, const BiasActivation& args) {
  run<Forward>(queue, "bias_activation", args,
               rows_are_aligned(args.x, args.x_stride) && rows_are_aligned(args.y, args.y_stride));
}

void bias_activation_backward(const Queue& queue, const BiasActivationBackward& args) {
  run<Backward>(queue, "bias_activation_backward", args,
                rows_are_aligned(args.saved, args.saved_stride) &&
                    rows_are_aligned(args.dy, args.dy_stride) && rows_are_aligned(args.dx, args.dx_stride));
}

}  // namespace sotalign::kernels::cuda
