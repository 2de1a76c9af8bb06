// Vectorised exp, and loops over the columns of a row, for files that Highway compiles once per instruction
// set.
#if defined(SOTALIGN_KERNELS_CPU_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SOTALIGN_KERNELS_CPU_EXP_INL_H_
#undef SOTALIGN_KERNELS_CPU_EXP_INL_H_
#else
#define SOTALIGN_KERNELS_CPU_EXP_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/entropic_common.h"

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr float kLowest = kLowestExponent, kHighest = kHighestExponent;

// exp(x) for x in [kLowest, kHighest], relative error below 2e-7. x = n log 2 + f, |f| <= log(2) / 2; a
// minimax polynomial gives exp(f), and n is added to its exponent bits. Adding 1.5 2^23 rounds to the nearest
// integer and leaves it in the low bits; subtracting it again gives n as a float.
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504088896341f), magic);
  const V f = hn::NegMulAdd(hn::Sub(shifted, magic), hn::Set(d, 0.693147180559945309f), x);
  V p = hn::Set(d, 8.31252523e-3f);
  p = hn::MulAdd(p, f, hn::Set(d, 4.18901145e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.66671142e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 4.99992311e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}
HWY_INLINE V Clamp(D d, V x) { return hn::Min(hn::Max(x, hn::Set(d, kLowest)), hn::Set(d, kHighest)); }

// Calls full(j) for every whole vector of the columns [begin, end), then tail(j, mask) for the remainder.
template <class Full, class Tail>
HWY_INLINE void ForColumns(int64_t begin, int64_t end, const Full& full, const Tail& tail) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = begin;
  for (; j + lanes <= end; j += lanes) full(j);
  if (j < end) tail(j, hn::FirstN(d, static_cast<size_t>(end - j)));
}

// scale exp(x), exactly 0 below the lowest exponent.
HWY_INLINE V PlanEntry(D d, V x, V scale) {
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, kLowest)), hn::Mul(scale, Exp(d, Clamp(d, x))));
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
