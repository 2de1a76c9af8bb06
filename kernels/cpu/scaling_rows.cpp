// See scaling_rows.h. Highway compiles this file once per instruction set.
#include "kernels/cpu/scaling_rows.h"

#include <algorithm>

#include "kernels/bfloat16.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/scaling_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr int64_t kBlock = 2048;  // columns that are summed in single precision

HWY_INLINE V LoadEntries(D d, const float* HWY_RESTRICT p) { return hn::LoadU(d, p); }
HWY_INLINE V LoadEntries(D d, const uint16_t* HWY_RESTRICT p) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, p))));
}

template <int kRows, class T>
HWY_INLINE void Sweep(ScalingSweep<T>& sweep, const float* HWY_RESTRICT t, float* HWY_RESTRICT columns,
                      int64_t count) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V weights[kRows];
  for (int r = 0; r < kRows; ++r) {
    weights[r] = hn::Set(d, sweep.weights[r]);
    sweep.sums[r] = 0;
  }
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    V sums[kRows];
    for (int r = 0; r < kRows; ++r) sums[r] = hn::Zero(d);
    for (int64_t j = begin; j < end; j += lanes) {
      const V factor = hn::LoadU(d, t + j);
      V column = hn::LoadU(d, columns + j);
      for (int r = 0; r < kRows; ++r) {
        sums[r] = hn::MulAdd(LoadEntries(d, sweep.next[r] + j), factor, sums[r]);
        column = hn::MulAdd(weights[r], LoadEntries(d, sweep.previous[r] + j), column);
      }
      hn::StoreU(column, d, columns + j);
    }
    for (int r = 0; r < kRows; ++r)
      sweep.sums[r] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sums[r])));
  }
}

template <class T>
HWY_INLINE void SweepRows(ScalingSweep<T>& sweep, int rows, const float* t, float* columns, int64_t count) {
  switch (rows) {
    case 4:
      return Sweep<4>(sweep, t, columns, count);
    case 2:
      return Sweep<2>(sweep, t, columns, count);
    default:
      return Sweep<1>(sweep, t, columns, count);
  }
}
void SweepFloat(ScalingSweep<float>& sweep, int rows, const float* t, float* columns, int64_t count) {
  SweepRows(sweep, rows, t, columns, count);
}
void SweepBfloat16(ScalingSweep<uint16_t>& sweep, int rows, const float* t, float* columns, int64_t count) {
  SweepRows(sweep, rows, t, columns, count);
}

void ToBfloat16Row(const float* HWY_RESTRICT row, uint16_t* HWY_RESTRICT out, int64_t count) {
  for (int64_t j = 0; j < count; ++j) out[j] = to_bfloat16(row[j]);
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(SweepFloat);
HWY_EXPORT(SweepBfloat16);
HWY_EXPORT(ToBfloat16Row);

void scaling_sweep(ScalingSweep<float>& sweep, int rows, const float* t, float* columns, int64_t count) {
  HWY_DYNAMIC_DISPATCH(SweepFloat)(sweep, rows, t, columns, count);
}
void scaling_sweep(ScalingSweep<uint16_t>& sweep, int rows, const float* t, float* columns, int64_t count) {
  HWY_DYNAMIC_DISPATCH(SweepBfloat16)(sweep, rows, t, columns, count);
}
void to_bfloat16_row(const float* row, uint16_t* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ToBfloat16Row)(row, out, count);
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
