// Soft cross-entropy against row softmaxes. Each thread owns whole rows: the row's log-sum-exp, then losses
// and gradients while the row is in cache. With x = t k - offset, where `offset` is the log-sum-exp rounded
// to float and `rest` the rounding error, log q = x - rest.
#include "kernels/soft_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/rounded.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/soft_cross_entropy.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "kernels/cpu/exp_inl.h"

#ifndef SOTALIGN_KERNELS_CPU_SOFT_CROSS_ENTROPY_TYPES_
#define SOTALIGN_KERNELS_CPU_SOFT_CROSS_ENTROPY_TYPES_
namespace sotalign::kernels::cpu {

struct SoftCrossEntropyRow {
  const float *k = nullptr, *targets = nullptr;
  float* grad = nullptr;
  float scale = 0, offset = 0, weight = 0;  ///< q = weight exp(scale k - offset)
  float grad_scale = 0;
};
/// Row sums of T x, T and (q - T) k.
struct SoftCrossEntropySums {
  double exponents = 0, mass = 0, slopes = 0;
};

}  // namespace sotalign::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

SoftCrossEntropySums SoftCrossEntropyRowSums(const SoftCrossEntropyRow& row, int64_t count) {
  const D d;
  const V scale = hn::Set(d, row.scale), offset = hn::Set(d, row.offset), weight = hn::Set(d, row.weight),
          grad_scale = hn::Set(d, row.grad_scale);
  // Keeps float sums short before they are added to a double.
  const int64_t block = 32 * static_cast<int64_t>(hn::Lanes(d));
  SoftCrossEntropySums sums;
  for (int64_t begin = 0; begin < count; begin += block) {
    V exponents = hn::Zero(d), mass = hn::Zero(d), slopes = hn::Zero(d);
    // Lanes past the end have k = T = 0 and add nothing.
    const auto gradient = [&](V k, V targets) {
      const V x = hn::MulSub(scale, k, offset);
      const V difference = hn::Sub(PlanEntry(d, x, weight), targets);
      exponents = hn::MulAdd(targets, x, exponents);
      mass = hn::Add(mass, targets);
      slopes = hn::MulAdd(difference, k, slopes);
      return hn::Mul(grad_scale, difference);
    };
    ForColumns(
        begin, std::min(begin + block, count),
        [&](int64_t j) {
          hn::StoreU(gradient(hn::LoadU(d, row.k + j), hn::LoadU(d, row.targets + j)), d, row.grad + j);
        },
        [&](int64_t j, auto mask) {
          const V k = hn::MaskedLoad(mask, d, row.k + j), targets = hn::MaskedLoad(mask, d, row.targets + j);
          hn::BlendedStore(gradient(k, targets), mask, d, row.grad + j);
        });
    sums.exponents += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, exponents)));
    sums.mass += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, mass)));
    sums.slopes += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, slopes)));
  }
  return sums;
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(SoftCrossEntropyRowSums);

namespace {

struct Scratch {
  float* zeros;             // [cols]
  double *losses, *slopes;  // [rows]
};
Scratch carve(Carver& carver, const SoftCrossEntropy& args) {
  Scratch s{};
  s.zeros = carver.take<float>(args.cols);
  s.losses = carver.take<double>(args.rows);
  s.slopes = carver.take<double>(args.rows);
  return s;
}

}  // namespace

size_t soft_cross_entropy_scratch(const Queue&, const SoftCrossEntropy& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void soft_cross_entropy(const Queue& queue, const SoftCrossEntropy& args) {
  const auto row_sums = HWY_DYNAMIC_DISPATCH(SoftCrossEntropyRowSums);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  std::fill_n(s.zeros, args.cols, 0.0f);
  // In double, since every entry would share its error.
  const double exact_scale = std::exp(static_cast<double>(*args.log_scale)),
               grad_scale = args.weight * exact_scale / static_cast<double>(args.rows);
  const float scale = static_cast<float>(exact_scale);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* k = args.k + i * args.k_stride;
    const Rounded log_sum = rounded(log_sum_exp_row(k, s.zeros, scale, args.cols));
    const SoftCrossEntropySums sums = row_sums({.k = k,
                                                .targets = args.targets + i * args.targets_stride,
                                                .grad = args.grad_k + i * args.grad_stride,
                                                .scale = scale,
                                                .offset = log_sum.value,
                                                .weight = static_cast<float>(std::exp(-log_sum.rest)),
                                                .grad_scale = static_cast<float>(grad_scale)},
                                               args.cols);
    s.losses[i] = log_sum.rest * sums.mass - sums.exponents;
    s.slopes[i] = sums.slopes;
  }
  double loss = 0, slope = 0;
  for (int64_t i = 0; i < args.rows; ++i) loss += s.losses[i], slope += s.slopes[i];
  *args.value = loss / static_cast<double>(args.rows);
  *args.grad_log_scale = static_cast<float>(
      grad_scale * slope + (args.add_grad_log_scale ? static_cast<double>(*args.grad_log_scale) : 0.0));
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
