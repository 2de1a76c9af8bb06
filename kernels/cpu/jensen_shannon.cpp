// Jensen-Shannon divergence of row softmaxes. Each thread owns whole rows. For each row: the log-sum-exp of
// both matrices; then, with the row in cache, its divergence, which stores q in scratch and q g in the
// gradient's memory; then the gradient.
//
// Apart from the larger of p and q, every term depends only on log p - log q. Both logarithms reach hundreds
// and nearly cancel, so the difference is computed in double.
#include "kernels/jensen_shannon.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/rounded.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/jensen_shannon.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>
#include "kernels/cpu/exp_inl.h"

#ifndef SOTALIGN_KERNELS_CPU_JENSEN_SHANNON_TYPES_
#define SOTALIGN_KERNELS_CPU_JENSEN_SHANNON_TYPES_
namespace sotalign::kernels::cpu {

struct JensenShannonSide {
  const float* s = nullptr;
  float offset = 0, weight = 0;  ///< the softmax is weight exp(c s - offset)
};
struct JensenShannonRow {
  JensenShannonSide q, p;
  float c = 0;
  double difference = 0;      ///< log p - log q = c (s0 - s) + difference
  float* gradient = nullptr;  ///< or null
  float* kept = nullptr;      ///< [cols], scratch for q
  double gradient_scale = 0;
};

}  // namespace sotalign::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

/// c (s0 - s) + difference, computed in double.
HWY_INLINE V LogRatio(D d, const JensenShannonRow& row, V s, V s0) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;  // as many floats as doubles fit into a vector
  constexpr size_t kMaxLanes = hn::MaxLanes(D());
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)),
                wide_lanes = static_cast<int64_t>(hn::Lanes(wide));
  const auto c = hn::Set(wide, static_cast<double>(row.c)), difference = hn::Set(wide, row.difference);
  float entries[kMaxLanes], entries0[kMaxLanes], ratios[kMaxLanes];
  hn::StoreU(s, d, entries);
  hn::StoreU(s0, d, entries0);
  for (int64_t i = 0; i < lanes; i += wide_lanes) {
    const auto apart = hn::Sub(hn::PromoteTo(wide, hn::LoadU(narrow, entries0 + i)),
                               hn::PromoteTo(wide, hn::LoadU(narrow, entries + i)));
    hn::StoreU(hn::DemoteTo(narrow, hn::MulAdd(c, apart, difference)), narrow, ratios + i);
  }
  return hn::LoadU(d, ratios);
}

/// Twice an entry's divergence over max(p, q), and twice its g.
struct Term {
  V divergence, g;
};
HWY_INLINE Term TermOf(D d, V log_ratio) {
  const V one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f), quarter = hn::Set(d, 0.25f);
  // min(p, q) = e max(p, q), and log max(p, q) - log m = -log_mean.
  const V a = hn::Abs(log_ratio), gap = hn::Neg(hn::Expm1(d, hn::Neg(a))), e = hn::Sub(one, gap);
  const V log_mean = hn::Log1p(d, hn::Neg(hn::Mul(half, gap)));
  // Close p and q would make the two parts cancel: use the first terms of the series, accurate to 1e-8.
  const V square = hn::Mul(quarter, hn::Mul(a, a));
  const V cube = hn::Mul(hn::Mul(square, square), hn::Mul(square, hn::Set(d, 1.0f / 72.0f)));
  const V close = hn::Mul(hn::Sqrt(e), hn::Add(square, cube)),
          far = hn::Neg(hn::MulAdd(hn::Add(one, e), log_mean, hn::Mul(e, a)));
  const V above = hn::IfThenElseZero(hn::Gt(log_ratio, hn::Zero(d)), a);
  return {hn::IfThenElse(hn::Lt(a, quarter), close, far), hn::Neg(hn::Add(log_mean, above))};
}

double JensenShannonOfRow(const JensenShannonRow& row, int64_t count) {
  const D d;
  const V c = hn::Set(d, row.c), half = hn::Set(d, 0.5f);
  const V q_offset = hn::Set(d, row.q.offset), q_weight = hn::Set(d, row.q.weight),
          p_offset = hn::Set(d, row.p.offset), p_weight = hn::Set(d, row.p.weight);
  // Keeps float sums short before they are added to a double.
  const int64_t block = 32 * static_cast<int64_t>(hn::Lanes(d));
  double divergence = 0, mean_g = 0;
  for (int64_t begin = 0; begin < count; begin += block) {
    V divergences = hn::Zero(d), products = hn::Zero(d);
    // keep() zeroes lanes past the end; store() takes q and q g.
    const auto entries = [&](V s, V s0, const auto& keep, const auto& store) {
      const V q = keep(PlanEntry(d, hn::MulSub(c, s, q_offset), q_weight)),
              p = keep(PlanEntry(d, hn::MulSub(c, s0, p_offset), p_weight));
      const Term term = TermOf(d, LogRatio(d, row, s, s0));
      const V product = hn::Mul(hn::Mul(half, term.g), q);
      divergences = hn::MulAdd(hn::Max(p, q), term.divergence, divergences);
      products = hn::Add(products, product);
      if (row.gradient != nullptr) store(q, product);
    };
    ForColumns(
        begin, std::min(begin + block, count),
        [&](int64_t j) {
          entries(
              hn::LoadU(d, row.q.s + j), hn::LoadU(d, row.p.s + j), [](V x) { return x; },
              [&](V q, V product) {
                hn::StoreU(q, d, row.kept + j);
                hn::StoreU(product, d, row.gradient + j);
              });
        },
        [&](int64_t j, auto mask) {
          entries(
              hn::MaskedLoad(mask, d, row.q.s + j), hn::MaskedLoad(mask, d, row.p.s + j),
              [&](V x) { return hn::IfThenElseZero(mask, x); },
              [&](V q, V product) {
                hn::BlendedStore(q, mask, d, row.kept + j);
                hn::BlendedStore(product, mask, d, row.gradient + j);
              });
        });
    divergence += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, divergences)));
    mean_g += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, products)));
  }
  if (row.gradient == nullptr) return 0.5 * divergence;
  const V mean = hn::Set(d, static_cast<float>(mean_g)),
          scale = hn::Set(d, static_cast<float>(row.gradient_scale));
  const auto gradient = [&](V q, V product) { return hn::Mul(scale, hn::NegMulAdd(mean, q, product)); };
  ForColumns(
      0, count,
      [&](int64_t j) {
        hn::StoreU(gradient(hn::LoadU(d, row.kept + j), hn::LoadU(d, row.gradient + j)), d, row.gradient + j);
      },
      [&](int64_t j, auto mask) {
        const V q = hn::MaskedLoad(mask, d, row.kept + j),
                product = hn::MaskedLoad(mask, d, row.gradient + j);
        hn::BlendedStore(gradient(q, product), mask, d, row.gradient + j);
      });
  return 0.5 * divergence;
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(JensenShannonOfRow);

namespace {

struct Scratch {
  float* zeros;        // [cols]
  float* kept;         // [threads, cols]
  double* row_values;  // [rows]
};
Scratch carve(Carver& carver, const Queue& queue, const JensenShannon& args) {
  Scratch s{};
  s.zeros = carver.take<float>(args.cols);
  s.kept = carver.take<float>(queue.threads * args.cols);
  s.row_values = carver.take<double>(args.rows);
  return s;
}

JensenShannonSide side(const float* s, double log_sum) {
  const Rounded offset = rounded(log_sum);
  return {s, offset.value, static_cast<float>(std::exp(-offset.rest))};
}

}  // namespace

size_t jensen_shannon_scratch(const Queue& queue, const JensenShannon& args) {
  Carver carver;
  carve(carver, queue, args);
  return carver.used();
}

void jensen_shannon(const Queue& queue, const JensenShannon& args) {
  const auto of_row = HWY_DYNAMIC_DISPATCH(JensenShannonOfRow);
  Carver carver(args.scratch);
  const Scratch scratch = carve(carver, queue, args);
  std::fill_n(scratch.zeros, args.cols, 0.0f);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float *s = args.s + i * args.s_stride, *s0 = args.s0 + i * args.s0_stride;
    const double log_sum = log_sum_exp_row(s, scratch.zeros, args.c, args.cols),
                 log_sum0 = log_sum_exp_row(s0, scratch.zeros, args.c, args.cols);
    scratch.row_values[i] =
        of_row({.q = side(s, log_sum),
                .p = side(s0, log_sum0),
                .c = args.c,
                .difference = log_sum - log_sum0,
                .gradient = args.gradient == nullptr ? nullptr : args.gradient + i * args.gradient_stride,
                .kept = scratch.kept + omp_get_thread_num() * args.cols,
                .gradient_scale = args.gradient_scale * args.weight * static_cast<double>(args.c)},
               args.cols);
  }
  double sum = 0;
  for (int64_t i = 0; i < args.rows; ++i) sum += scratch.row_values[i];
  *args.value = args.weight * sum + (args.add_value ? *args.value : 0.0);
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
