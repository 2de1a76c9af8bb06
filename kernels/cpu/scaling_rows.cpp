// See scaling_rows.h. Highway compiles this file once per instruction set.
#include "kernels/cpu/scaling_rows.h"

#include <algorithm>

#include "kernels/bfloat16.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/scaling_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr int64_t kBlock = 2048;  // columns summed in single precision before double takes over

HWY_INLINE V LoadEntries(D d, const float* HWY_RESTRICT p) { return hn::LoadU(d, p); }
HWY_INLINE V LoadEntries(D d, const uint16_t* HWY_RESTRICT p) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Rebind<uint16_t, D> narrow;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, p))));
}

template <int kRows, class T>
HWY_INLINE void SumsOf(const T* const* rows, const float* HWY_RESTRICT t, double* sums, int64_t count) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int r = 0; r < kRows; ++r) sums[r] = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    V parts[kRows];
    for (int r = 0; r < kRows; ++r) parts[r] = hn::Zero(d);
    for (int64_t j = begin; j < end; j += lanes) {
      const V factor = hn::LoadU(d, t + j);
      for (int r = 0; r < kRows; ++r) parts[r] = hn::MulAdd(LoadEntries(d, rows[r] + j), factor, parts[r]);
    }
    for (int r = 0; r < kRows; ++r) sums[r] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, parts[r])));
  }
}

// Prefetches into L2: a group of rows does not fit in L1.
template <class T>
HWY_INLINE void AskFor(const T* p) {
  constexpr int kRead = 0, kSecondLevel = 2;
  __builtin_prefetch(p, kRead, kSecondLevel);
}

template <int kRows, class T>
HWY_INLINE void AddToColumns(const T* const* rows, const float* weights, float* HWY_RESTRICT columns,
                             const T* const* next, int64_t count) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int64_t kLine = 64 / sizeof(T);  // entries of a cache line
  V w[kRows];
  for (int r = 0; r < kRows; ++r) w[r] = hn::Set(d, weights[r]);
  for (int64_t line = 0; line < count; line += kLine) {
    for (int r = 0; r < kRows; ++r) AskFor(next[r] + line);
    for (int64_t j = line; j < std::min(line + kLine, count); j += lanes) {
      V column = hn::LoadU(d, columns + j);
      for (int r = 0; r < kRows; ++r) column = hn::MulAdd(w[r], LoadEntries(d, rows[r] + j), column);
      hn::StoreU(column, d, columns + j);
    }
  }
}

template <class T>
HWY_INLINE void Sums(const ScalingRows<T>& group, const float* t, double* sums, int64_t count) {
  switch (group.rows) {
    case 8:
      return SumsOf<8>(group.row, t, sums, count);
    case 4:
      return SumsOf<4>(group.row, t, sums, count);
    case 2:
      return SumsOf<2>(group.row, t, sums, count);
    default:
      return SumsOf<1>(group.row, t, sums, count);
  }
}
template <class T>
HWY_INLINE void Columns(const ScalingRows<T>& group, const float* weights, float* columns,
                        const T* const* next, int64_t count) {
  switch (group.rows) {
    case 8:
      return AddToColumns<8>(group.row, weights, columns, next, count);
    case 4:
      return AddToColumns<4>(group.row, weights, columns, next, count);
    case 2:
      return AddToColumns<2>(group.row, weights, columns, next, count);
    default:
      return AddToColumns<1>(group.row, weights, columns, next, count);
  }
}
void SumsFloat(const ScalingRows<float>& group, const float* t, double* sums, int64_t count) {
  Sums(group, t, sums, count);
}
void SumsBfloat16(const ScalingRows<uint16_t>& group, const float* t, double* sums, int64_t count) {
  Sums(group, t, sums, count);
}
void ColumnsFloat(const ScalingRows<float>& group, const float* weights, float* columns,
                  const float* const* next, int64_t count) {
  Columns(group, weights, columns, next, count);
}
void ColumnsBfloat16(const ScalingRows<uint16_t>& group, const float* weights, float* columns,
                     const uint16_t* const* next, int64_t count) {
  Columns(group, weights, columns, next, count);
}

void ToBfloat16Row(const float* HWY_RESTRICT row, uint16_t* HWY_RESTRICT out, int64_t count) {
  for (int64_t j = 0; j < count; ++j) out[j] = to_bfloat16(row[j]);
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(SumsFloat);
HWY_EXPORT(SumsBfloat16);
HWY_EXPORT(ColumnsFloat);
HWY_EXPORT(ColumnsBfloat16);
HWY_EXPORT(ToBfloat16Row);

void scaling_sums(const ScalingRows<float>& group, const float* t, double* sums, int64_t count) {
  HWY_DYNAMIC_DISPATCH(SumsFloat)(group, t, sums, count);
}
void scaling_sums(const ScalingRows<uint16_t>& group, const float* t, double* sums, int64_t count) {
  HWY_DYNAMIC_DISPATCH(SumsBfloat16)(group, t, sums, count);
}
void scaling_columns(const ScalingRows<float>& group, const float* weights, float* columns,
                     const float* const* next, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ColumnsFloat)(group, weights, columns, next, count);
}
void scaling_columns(const ScalingRows<uint16_t>& group, const float* weights, float* columns,
                     const uint16_t* const* next, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ColumnsBfloat16)(group, weights, columns, next, count);
}
void to_bfloat16_row(const float* row, uint16_t* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ToBfloat16Row)(row, out, count);
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
