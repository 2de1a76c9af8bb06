// Each thread owns whole rows. Decoding is part of every sweep over an affinity, so Highway vectorises it;
// encoding is not, and is left to the compiler.
#include "kernels/fixed_point.h"

#include <algorithm>
#include <cmath>

#include "kernels/fixed_point_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/fixed_point.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void DecodeRow(const int16_t* HWY_RESTRICT q, float centre, float step, float* HWY_RESTRICT x,
               int64_t count) {
  const hn::ScalableTag<float> floats;
  const hn::RebindToSigned<decltype(floats)> integers;
  const hn::Rebind<int16_t, decltype(floats)> halves;
  const auto factor = hn::Set(floats, step), middle = hn::Set(floats, centre);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(floats));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes)
    hn::StoreU(
        hn::MulAdd(factor, hn::ConvertTo(floats, hn::PromoteTo(integers, hn::LoadU(halves, q + j))), middle),
        floats, x + j);
  for (; j < count; ++j) x[j] = std::fma(step, static_cast<float>(q[j]), centre);
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(DecodeRow);

void encode_fixed_point(const Queue& queue, const EncodeFixedPoint& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    int16_t* q = args.q + i * args.q_stride;
    const auto [lowest, highest] = std::minmax_element(x, x + args.cols);
    const FixedPointRange range = fixed_point_range(*lowest, *highest);
    args.centre[i] = range.centre;
    args.step[i] = range.step;
    for (int64_t j = 0; j < args.cols; ++j) q[j] = to_fixed_point(x[j], range);
  }
}

void decode_fixed_point(const Queue& queue, const DecodeFixedPoint& args) {
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < args.rows; ++i) HWY_DYNAMIC_DISPATCH(DecodeRow)
  (args.q + i * args.q_stride, args.centre[i], args.step[i], args.x + i * args.x_stride, args.cols);
}

}  // namespace sotalign::kernels::cpu
#endif
