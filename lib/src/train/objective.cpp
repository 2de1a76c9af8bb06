#include "train/objective.h"

#include <fmt/format.h>

#include "sotalign/core/error.h"

namespace sotalign::detail {

std::unique_ptr<Objective> make_objective(const ObjectiveSetup& setup) {
  const Method method = effective_method(setup.options);
  switch (method) {
    case Method::kSotalign:
      return make_sotalign(setup);
    case Method::kSail:
    case Method::kSailSemi:
      return make_sail(setup);
    case Method::kStructure:
    case Method::kStructureSemi:
      return make_structure(setup);
    case Method::kNnclr:
      return make_nnclr(setup);
    case Method::kSclip:
      return make_sclip(setup);
  }
  throw InvalidArgument(fmt::format("method: none has the number {}", static_cast<int>(method)));
}

}  // namespace sotalign::detail
