#include "io/decode_float16.h"

#include "io/element.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "io/decode_float16.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sotalign::io::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void decode(const char* source, int64_t count, float* result) {
  const hn::ScalableTag<float> floats;
  const hn::Rebind<hwy::float16_t, decltype(floats)> halves;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(floats));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto* at = reinterpret_cast<const hwy::float16_t*>(source + 2 * i);
    hn::StoreU(hn::PromoteTo(floats, hn::LoadU(halves, at)), floats, result + i);
  }
  for (; i < count; ++i) result[i] = float16_to_float(load<uint16_t>(source, i));
}

}  // namespace sotalign::io::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::io {

HWY_EXPORT(decode);

void decode_float16(const char* source, int64_t count, float* result) {
  HWY_DYNAMIC_DISPATCH(decode)(source, count, result);
}

}  // namespace sotalign::io
#endif
