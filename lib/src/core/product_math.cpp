#include "sotalign/core/product_math.h"

#include "core/kinds.h"

namespace sotalign {

namespace {
struct Entry {
  ProductMath kind;
  const char* name;
};
constexpr Entry kEntries[] = {
    {ProductMath::kFp32, "fp32"}, {ProductMath::kTf32, "tf32"}, {ProductMath::kBf16, "bf16"}};
}  // namespace

std::string to_string(ProductMath math) { return detail::kind_entry("product math", kEntries, math).name; }

}  // namespace sotalign
