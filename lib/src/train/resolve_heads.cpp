#include "train/resolve_heads.h"

#include <fmt/format.h>

#include "sotalign/core/error.h"
#include "sotalign/train/method.h"

namespace sotalign::detail {

void resolve_heads(TrainOptions& o, int64_t teacher_dim) {
  const bool can = o.hidden.empty() || o.residual;
  if (o.initialization == Initialization::kAuto)
    o.initialization = effective_method(o).starts_from_teacher && can && o.dim == 0 ? Initialization::kTeacher
                                                                                    : Initialization::kRandom;
  const bool from_teacher = o.initialization == Initialization::kTeacher;
  if (from_teacher && o.dim != 0 && o.dim != teacher_dim)
    throw InvalidArgument(fmt::format(
        "dim: heads that start from the teacher have its dimension {}, found {}", teacher_dim, o.dim));
  if (o.dim == 0) o.dim = from_teacher ? teacher_dim : 1024;
}

}  // namespace sotalign::detail
