// SigLIP in one pass; each thread owns whole rows. Every entry of a row except the pair is a negative with
// loss softplus(x) and slope sigmoid(x), both from e = exp(-|x|):
//   softplus(x) = max(x, 0) + log1p(e),   sigmoid(x) = 1/(1 + e) for x >= 0 and e/(1 + e) below.
// One logarithm serves a lane for a block of columns: prod(1 + e_j) - 1 is accumulated as s <- s + e (1 + s),
// which loses nothing when every e is tiny, the usual case with a bias of -10.
#include "kernels/siglip.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/siglip.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors per block: keeps prod(1 + e_j) within 2^32, and float sums short before they are added to a double.
constexpr int64_t kBlockVectors = 32;

/// Adds a vector of negatives to the sums of its lanes and returns their slopes.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V add_negatives(D d, V k, V x, V& excess, V& positive_part, V& slopes, V& slopes_k) {
  const V one = hn::Set(d, 1.0f);
  const auto below_zero = hn::Lt(x, hn::Zero(d));
  const V e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  excess = hn::MulAdd(e, hn::Add(one, excess), excess);
  // Not Max, which on x86 would drop a NaN.
  positive_part = hn::Add(positive_part, hn::IfThenZeroElse(below_zero, x));
  const V slope = hn::Div(hn::IfThenElse(below_zero, e, one), hn::Add(one, e));
  slopes = hn::Add(slopes, slope);
  slopes_k = hn::MulAdd(slope, k, slopes_k);
  return slope;
}

/// `count` adjacent negatives. Adds to sums: losses, slopes, and slopes times K.
void siglip_negatives(const float* k, float* grad, int64_t count, float scale, float bias, float grad_scale,
                      double* sums) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V v_scale = hn::Set(d, scale), v_bias = hn::Set(d, bias), v_grad_scale = hn::Set(d, grad_scale);
  for (int64_t first = 0; first < count; first += kBlockVectors * lanes) {
    const int64_t last = std::min(count, first + kBlockVectors * lanes);
    V excess = hn::Zero(d), positive_part = hn::Zero(d), slopes = hn::Zero(d), slopes_k = hn::Zero(d);
    int64_t j = first;
    for (; j + lanes <= last; j += lanes) {
      const V v_k = hn::LoadU(d, k + j);
      const V slope =
          add_negatives(d, v_k, hn::MulAdd(v_scale, v_k, v_bias), excess, positive_part, slopes, slopes_k);
      hn::StoreU(hn::Mul(slope, v_grad_scale), d, grad + j);
    }
    if (j < last) {
      HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
      std::copy(k + j, k + last, tail);
      const V v_k = hn::Load(d, tail);
      // Lanes past the end get a logit so low that they add nothing.
      const V x = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(last - j)),
                                 hn::MulAdd(v_scale, v_k, v_bias), hn::Set(d, -1e30f));
      const V slope = add_negatives(d, v_k, x, excess, positive_part, slopes, slopes_k);
      hn::Store(hn::Mul(slope, v_grad_scale), d, tail);
      std::copy(tail, tail + (last - j), grad + j);
    }
    sums[0] += hn::GetLane(hn::SumOfLanes(d, hn::Add(positive_part, hn::Log1p(d, excess))));
    sums[1] += hn::GetLane(hn::SumOfLanes(d, slopes));
    sums[2] += hn::GetLane(hn::SumOfLanes(d, slopes_k));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sotalign::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(siglip_negatives);

void siglip(const Queue& queue, const Siglip& args) {
  const auto negatives = HWY_DYNAMIC_DISPATCH(siglip_negatives);
  const double scale = std::exp(static_cast<double>(*args.log_scale)), bias = *args.bias;
  const double grad_scale = args.weight * scale / static_cast<double>(args.pairs);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* k = args.k + i * args.k_stride;
    float* grad = args.grad_k + i * args.grad_stride;
    double sums[3] = {};
    const auto add = [&](int64_t first, int64_t last) {
      negatives(k + first, grad + first, last - first, static_cast<float>(scale), static_cast<float>(bias),
                static_cast<float>(grad_scale), sums);
    };
    if (i < args.pairs) {
      add(0, i);
      const double cosine = k[i], x = scale * cosine + bias;
      const double e = std::exp(-std::abs(x));
      const double slope = -(x > 0 ? e : 1.0) / (1.0 + e);
      sums[0] += (x > 0 ? 0.0 : -x) + std::log1p(e);
      sums[1] += slope;
      sums[2] += slope * cosine;
      grad[i] = static_cast<float>(slope * grad_scale);
      add(i + 1, args.cols);
    } else {
      add(0, args.cols);
    }
    std::copy(sums, sums + 3, args.scratch + 3 * i);
  }
  double totals[3] = {};
  for (int64_t i = 0; i < args.rows; ++i)
    for (int64_t s = 0; s < 3; ++s) totals[s] += args.scratch[3 * i + s];
  *args.value = totals[0] / static_cast<double>(args.pairs);
  const auto write = [&](float* grad, double value) {
    *grad = (args.add_grad_parameters ? *grad : 0.0f) + static_cast<float>(value);
  };
  write(args.grad_bias, args.weight * totals[1] / static_cast<double>(args.pairs));
  write(args.grad_log_scale, grad_scale * totals[2]);
}

}  // namespace sotalign::kernels::cpu
#endif
