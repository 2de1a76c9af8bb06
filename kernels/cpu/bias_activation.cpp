// Bias and activation in one pass, forward and backward. Each thread owns whole rows: whole vectors of the
// widest instruction set (Highway), then the tail one lane at a time through the same code. The C library's
// scalar erf and tanh would cost as much as the matrix product for wide hidden layers.
#include "kernels/bias_activation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/bias_activation.cpp"
#include "hwy/foreach_target.h"
// Must follow foreach_target.h, which compiles this file once per instruction set.
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Calls function(tag, j) for vectors that cover [0, count) exactly once.
template <class Function>
void for_each_vector(int64_t count, const Function& function) {
  const hn::ScalableTag<float> wide;
  const hn::CappedTag<float, 1> single;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(wide));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) function(wide, j);
  for (; j < count; ++j) function(single, j);
}

/// Normal distribution function Phi(z) = erfc(-z / sqrt 2) / 2, with erfc by the Chebyshev fit of Numerical
/// Recipes, chapter 6.2. The fit's error is relative (1.2e-7), so GELU keeps its digits where Phi is small.
template <class D, class V = hn::Vec<D>>
V normal_cdf(D d, V z) {
  const V x = hn::Mul(hn::Abs(z), hn::Set(d, 0.70710678118654752f));
  const V t = hn::Div(hn::Set(d, 1.0f), hn::MulAdd(x, hn::Set(d, 0.5f), hn::Set(d, 1.0f)));
  V fit = hn::Set(d, 0.17087277f);
  for (const float coefficient : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                                  0.09678418f, 0.37409196f, 1.00002368f, -1.26551223f})
    fit = hn::MulAdd(fit, t, hn::Set(d, coefficient));
  const V tail = hn::Mul(hn::Mul(t, hn::Set(d, 0.5f)), hn::Exp(d, hn::NegMulAdd(x, x, fit)));
  return hn::IfThenElse(hn::Gt(z, hn::Zero(d)), hn::Sub(hn::Set(d, 1.0f), tail), tail);
}

template <class D, class V = hn::Vec<D>>
V normal_density(D d, V z) {
  const V exponent = hn::Mul(hn::Mul(z, z), hn::Set(d, -0.5f));
  return hn::Mul(hn::Exp(d, exponent), hn::Set(d, 0.39894228040143268f));
}

void forward_row(const BiasActivation& args, int64_t i) {
  const float* x = args.x + i * args.x_stride;
  const float* bias = args.bias;
  float* y = args.y + i * args.y_stride;
  const auto map = [&](const auto& activation) {
    for_each_vector(args.cols, [&](auto d, int64_t j) {
      hn::StoreU(activation(d, hn::Add(hn::LoadU(d, x + j), hn::LoadU(d, bias + j))), d, y + j);
    });
  };
  switch (args.activation) {
    case Activation::kNone:
      return map([](auto, auto z) { return z; });
    case Activation::kRelu:  // not Max, which would turn NaN into 0
      return map([](auto d, auto z) { return hn::IfThenZeroElse(hn::Lt(z, hn::Zero(d)), z); });
    case Activation::kGelu:
      return map([](auto d, auto z) { return hn::Mul(z, normal_cdf(d, z)); });
    case Activation::kTanh:
      return map([](auto d, auto z) { return hn::Tanh(d, z); });
  }
}

void backward_row(const BiasActivationBackward& args, int64_t i) {
  const float* saved = args.saved + i * args.saved_stride;
  const float* bias = args.bias;
  const float* dy = args.dy + i * args.dy_stride;
  float* dx = args.dx + i * args.dx_stride;
  const auto map = [&](const auto& gradient) {
    for_each_vector(args.cols, [&](auto d, int64_t j) {
      hn::StoreU(gradient(d, j, hn::LoadU(d, saved + j), hn::LoadU(d, dy + j)), d, dx + j);
    });
  };
  switch (args.activation) {
    case Activation::kNone:
      return map([](auto, int64_t, auto, auto g) { return g; });
    case Activation::kRelu:
      return map(
          [](auto d, int64_t, auto y, auto g) { return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), g); });
    case Activation::kGelu:
      return map([bias](auto d, int64_t j, auto x, auto g) {
        const auto z = hn::Add(x, hn::LoadU(d, bias + j));
        return hn::Mul(g, hn::MulAdd(z, normal_density(d, z), normal_cdf(d, z)));
      });
    case Activation::kTanh:
      return map(
          [](auto d, int64_t, auto y, auto g) { return hn::Mul(g, hn::NegMulAdd(y, y, hn::Set(d, 1.0f))); });
  }
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(forward_row);
HWY_EXPORT(backward_row);

void bias_activation(const Queue& queue, const BiasActivation& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) HWY_DYNAMIC_DISPATCH(forward_row)(args, i);
}

void bias_activation_backward(const Queue& queue, const BiasActivationBackward& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) HWY_DYNAMIC_DISPATCH(backward_row)(args, i);
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
