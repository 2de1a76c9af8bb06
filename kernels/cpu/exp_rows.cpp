// See exp_rows.h. Highway compiles this file once per instruction set.
#include "kernels/cpu/exp_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/exp_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "kernels/cpu/exp_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

// Columns summed in float lanes before the partial sum is added to a double.
constexpr int64_t kBlock = 2048;
// Prefetch distance in columns: large matrices stream from DRAM. Distances from 256 to 4096 performed equally
// well.
constexpr int64_t kAhead = 1024;

float MaxRow(const float* HWY_RESTRICT k, const float* HWY_RESTRICT v, float c, int64_t count) {
  const D d;
  const V scale = hn::Set(d, c);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V best = lowest;
  ForColumns(
      0, count,
      [&](int64_t j) { best = hn::Max(best, hn::MulAdd(scale, hn::LoadU(d, k + j), hn::LoadU(d, v + j))); },
      [&](int64_t j, auto mask) {
        const V x = hn::MulAdd(scale, hn::MaskedLoad(mask, d, k + j), hn::MaskedLoad(mask, d, v + j));
        best = hn::Max(best, hn::IfThenElse(mask, x, lowest));
      });
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

double ExpRow(const float* HWY_RESTRICT k, const float* HWY_RESTRICT v, float c, float offset,
              float* HWY_RESTRICT e, int64_t count) {
  const D d;
  const V scale = hn::Set(d, c), shift = hn::Set(d, offset);
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    V sum = hn::Zero(d);
    ForColumns(
        begin, std::min(begin + kBlock, count),
        [&](int64_t j) {
          hwy::Prefetch(k + j + kAhead);
          const V x = hn::Add(hn::MulAdd(scale, hn::LoadU(d, k + j), shift), hn::LoadU(d, v + j));
          const V y = Exp(d, Clamp(d, x));
          if (e != nullptr) hn::StoreU(y, d, e + j);
          sum = hn::Add(sum, y);
        },
        [&](int64_t j, auto mask) {
          const V x = hn::Add(hn::MulAdd(scale, hn::MaskedLoad(mask, d, k + j), shift),
                              hn::MaskedLoad(mask, d, v + j));
          const V y = hn::IfThenElseZero(mask, Exp(d, Clamp(d, x)));
          if (e != nullptr) hn::BlendedStore(y, mask, d, e + j);
          sum = hn::Add(sum, y);
        });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

// p may overwrite k, hence no HWY_RESTRICT.
double PlanRow(const float* k, const float* v, float c, float offset, float scale, float* p, int64_t count) {
  const D d;
  const V vc = hn::Set(d, c), shift = hn::Set(d, offset), factor = hn::Set(d, scale);
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    V sum = hn::Zero(d);
    ForColumns(
        begin, std::min(begin + kBlock, count),
        [&](int64_t j) {
          const V x = hn::Add(hn::MulAdd(vc, hn::LoadU(d, k + j), shift), hn::LoadU(d, v + j));
          const V y = PlanEntry(d, x, factor);
          hn::StoreU(y, d, p + j);
          sum = hn::Add(sum, y);
        },
        [&](int64_t j, auto mask) {
          const V x =
              hn::Add(hn::MulAdd(vc, hn::MaskedLoad(mask, d, k + j), shift), hn::MaskedLoad(mask, d, v + j));
          const V y = hn::IfThenElseZero(mask, PlanEntry(d, x, factor));
          hn::BlendedStore(y, mask, d, p + j);
          sum = hn::Add(sum, y);
        });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

template <int kRows>
HWY_INLINE void AddRows(const float* HWY_RESTRICT e, int64_t stride, const float* weights,
                        float* HWY_RESTRICT sum, int64_t count) {
  const D d;
  V w[kRows];
  for (int r = 0; r < kRows; ++r) w[r] = hn::Set(d, weights[r]);
  ForColumns(
      0, count,
      [&](int64_t j) {
        V s = hn::LoadU(d, sum + j);
        for (int r = 0; r < kRows; ++r) s = hn::MulAdd(w[r], hn::LoadU(d, e + r * stride + j), s);
        hn::StoreU(s, d, sum + j);
      },
      [&](int64_t j, auto mask) {
        V s = hn::MaskedLoad(mask, d, sum + j);
        for (int r = 0; r < kRows; ++r) s = hn::MulAdd(w[r], hn::MaskedLoad(mask, d, e + r * stride + j), s);
        hn::BlendedStore(s, mask, d, sum + j);
      });
}

void AddWeightedRows(const float* e, int64_t stride, const float* weights, int rows, float* sum,
                     int64_t count) {
  switch (rows) {
    case 4:
      return AddRows<4>(e, stride, weights, sum, count);
    case 3:
      return AddRows<3>(e, stride, weights, sum, count);
    case 2:
      return AddRows<2>(e, stride, weights, sum, count);
    case 1:
      return AddRows<1>(e, stride, weights, sum, count);
    default:
      return;
  }
}

void MaxIntoColumns(const float* HWY_RESTRICT k, float c, float offset, float* HWY_RESTRICT m,
                    int64_t count) {
  const D d;
  const V scale = hn::Set(d, c), shift = hn::Set(d, offset);
  ForColumns(
      0, count,
      [&](int64_t j) {
        hn::StoreU(hn::Max(hn::LoadU(d, m + j), hn::MulAdd(scale, hn::LoadU(d, k + j), shift)), d, m + j);
      },
      [&](int64_t j, auto mask) {
        const V x = hn::MulAdd(scale, hn::MaskedLoad(mask, d, k + j), shift);
        hn::BlendedStore(hn::Max(hn::MaskedLoad(mask, d, m + j), x), mask, d, m + j);
      });
}

void AddExpToColumns(const float* HWY_RESTRICT k, const float* HWY_RESTRICT m, float c, float offset,
                     float weight, float* HWY_RESTRICT sum, int64_t count) {
  const D d;
  const V scale = hn::Set(d, c), shift = hn::Set(d, offset), factor = hn::Set(d, weight);
  const auto add = [&](V kj, V mj, V old) {
    const V x = hn::Sub(hn::MulAdd(scale, kj, shift), mj);
    return hn::MulAdd(factor, Exp(d, Clamp(d, x)), old);
  };
  ForColumns(
      0, count,
      [&](int64_t j) {
        hn::StoreU(add(hn::LoadU(d, k + j), hn::LoadU(d, m + j), hn::LoadU(d, sum + j)), d, sum + j);
      },
      [&](int64_t j, auto mask) {
        const V s = add(hn::MaskedLoad(mask, d, k + j), hn::MaskedLoad(mask, d, m + j),
                        hn::MaskedLoad(mask, d, sum + j));
        hn::BlendedStore(s, mask, d, sum + j);
      });
}

double KlotRowSum(const KlotRow& row, int64_t count) {
  const D d;
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;  // as many floats as doubles fit into a vector
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)),
                wide_lanes = static_cast<int64_t>(hn::Lanes(wide));
  const V c = hn::Set(d, row.c), offset = hn::Set(d, row.offset), scale = hn::Set(d, row.scale);
  const V tc = hn::Set(d, row.teacher_c), toffset = hn::Set(d, row.teacher_offset);
  const V tscale = hn::Set(d, row.teacher_scale), gscale = hn::Set(d, row.gradient_scale);
  const auto wide_c = hn::Set(wide, static_cast<double>(row.c));
  const auto wide_tc = hn::Set(wide, static_cast<double>(row.teacher_c));
  const auto u_difference = hn::Set(wide, row.u_difference);
  constexpr size_t kMaxLanes = hn::MaxLanes(D());
  auto sum = hn::Zero(wide);

  const auto entries = [&](const float* k, const float* v, const float* tk, const float* tv,
                           const double* v_difference) {
    const V p = PlanEntry(d, hn::Add(hn::MulAdd(c, hn::LoadU(d, k), offset), hn::LoadU(d, v)), scale);
    const V q = PlanEntry(d, hn::Add(hn::MulAdd(tc, hn::LoadU(d, tk), toffset), hn::LoadU(d, tv)), tscale);
    float mass[kMaxLanes];
    hn::StoreU(q, d, mass);
    // The logarithms reach hundreds and nearly cancel, so their difference is computed in double.
    for (int64_t i = 0; i < lanes; i += wide_lanes) {
      const auto wide_k = hn::PromoteTo(wide, hn::LoadU(narrow, k + i));
      const auto wide_tk = hn::PromoteTo(wide, hn::LoadU(narrow, tk + i));
      const auto potentials = hn::Add(u_difference, hn::LoadU(wide, v_difference + i));
      const auto log_ratio = hn::Add(hn::NegMulAdd(wide_c, wide_k, hn::Mul(wide_tc, wide_tk)), potentials);
      sum = hn::MulAdd(hn::PromoteTo(wide, hn::LoadU(narrow, mass + i)), log_ratio, sum);
    }
    return hn::Mul(gscale, hn::Sub(p, q));
  };
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const V g = entries(row.k + j, row.v + j, row.teacher_k + j, row.teacher_v + j, row.v_difference + j);
    if (row.gradient != nullptr) hn::StoreU(g, d, row.gradient + j);
  }
  if (j < count) {
    // The remainder, padded to a whole vector with columns without mass.
    float k[kMaxLanes] = {}, tk[kMaxLanes] = {}, v[kMaxLanes], tv[kMaxLanes], g[kMaxLanes];
    double v_difference[kMaxLanes] = {};
    std::fill(v, v + kMaxLanes, -std::numeric_limits<float>::infinity());
    std::fill(tv, tv + kMaxLanes, -std::numeric_limits<float>::infinity());
    const int64_t left = count - j;
    std::copy_n(row.k + j, left, k);
    std::copy_n(row.teacher_k + j, left, tk);
    std::copy_n(row.v + j, left, v);
    std::copy_n(row.teacher_v + j, left, tv);
    std::copy_n(row.v_difference + j, left, v_difference);
    hn::StoreU(entries(k, v, tk, tv, v_difference), d, g);
    if (row.gradient != nullptr) std::copy_n(g, left, row.gradient + j);
  }
  return hn::GetLane(hn::SumOfLanes(wide, sum));
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(MaxRow);
HWY_EXPORT(ExpRow);
HWY_EXPORT(PlanRow);
HWY_EXPORT(AddWeightedRows);
HWY_EXPORT(MaxIntoColumns);
HWY_EXPORT(AddExpToColumns);
HWY_EXPORT(KlotRowSum);

float max_row(const float* k, const float* v, float c, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(MaxRow)(k, v, c, count);
}
double exp_row(const float* k, const float* v, float c, float offset, float* e, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(ExpRow)(k, v, c, offset, e, count);
}
double log_sum_exp_row(const float* k, const float* v, float c, int64_t count) {
  const float maximum = max_row(k, v, c, count);
  return static_cast<double>(maximum) + std::log(exp_row(k, v, c, -maximum, nullptr, count));
}
double plan_row(const float* k, const float* v, float c, float offset, float scale, float* p, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(PlanRow)(k, v, c, offset, scale, p, count);
}
void add_weighted_rows(const float* e, int64_t stride, const float* weights, int rows, float* sum,
                       int64_t count) {
  HWY_DYNAMIC_DISPATCH(AddWeightedRows)(e, stride, weights, rows, sum, count);
}
void max_into_columns(const float* k, float c, float offset, float* m, int64_t count) {
  HWY_DYNAMIC_DISPATCH(MaxIntoColumns)(k, c, offset, m, count);
}
void add_exp_to_columns(const float* k, const float* m, float c, float offset, float weight, float* sum,
                        int64_t count) {
  HWY_DYNAMIC_DISPATCH(AddExpToColumns)(k, m, c, offset, weight, sum, count);
}
double klot_row(const KlotRow& row, int64_t count) { return HWY_DYNAMIC_DISPATCH(KlotRowSum)(row, count); }

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
