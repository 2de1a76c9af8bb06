#include "sotalign/core/checked.h"

#include <fmt/format.h>

#include <array>

#include "core/text.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
[[noreturn]] void fail(std::string_view what, const std::string& size) {
  throw InvalidArgument(fmt::format("{}: impossible size {}", detail::printable(what), size));
}
}  // namespace

int64_t checked_product(std::string_view what, std::span<const int64_t> extents) {
  if (const std::optional<int64_t> product = try_product(extents)) return *product;
  fail(what, detail::shape_text({extents.begin(), extents.end()}));
}

int64_t checked_product(std::string_view what, int64_t a, int64_t b) {
  return checked_product(what, std::array{a, b});
}

int64_t checked_sum(std::string_view what, int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) fail(what, fmt::format("{} + {}", a, b));
  return sum;
}

}  // namespace sotalign
