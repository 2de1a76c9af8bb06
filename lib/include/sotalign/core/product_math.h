// The precision of float32 matrix products on a GPU.
#pragma once

#include <string>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// "fp32", "tf32", "bf16".
std::string to_string(ProductMath math);

/// Sets the precision of a context's products for the duration of a scope.
class ProductMathScope {
 public:
  ProductMathScope(Context& context, ProductMath math) : context_(context), before_(context.product_math()) {
    context.set_product_math(math);
  }
  ~ProductMathScope() { context_.set_product_math(before_); }
  ProductMathScope(const ProductMathScope&) = delete;
  ProductMathScope& operator=(const ProductMathScope&) = delete;

 private:
  Context& context_;
  ProductMath before_;
};

}  // namespace sotalign
