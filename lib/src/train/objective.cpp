#include "train/objective.h"

#include <fmt/format.h>

#include "sotalign/core/error.h"

namespace sotalign::detail {

std::unique_ptr<Objective> make_objective(const ObjectiveSetup& setup) {
  switch (effective_method(setup.options)) {
    case Method::kSotalign:
      return make_sotalign(setup);
    case Method::kSail:
    case Method::kSailSemi:
      return make_sail(setup);
    case Method::kNnclr:
      return make_nnclr(setup);
    default:
      throw InvalidArgument(fmt::format("method: {}", to_string(setup.options.method)));
  }
}

}  // namespace sotalign::detail
