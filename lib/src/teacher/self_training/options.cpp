#include <fmt/format.h>

#include <cmath>

#include "sotalign/core/error.h"
#include "sotalign/teacher/self_training.h"
#include "teacher/check_self_training.h"

namespace sotalign {

namespace {

void check_number(const char* name, double value, bool valid, const char* expected) {
  if (!valid) throw InvalidArgument(fmt::format("{}: expected {}, found {}", name, expected, value));
}
void check_count(const char* name, int64_t value, int64_t least) {
  if (value < least)
    throw InvalidArgument(fmt::format("{}: expected at least {}, found {}", name, least, value));
}

}  // namespace

void detail::check_self_training(const SelfTrainingOptions& o) {
  const auto nonnegative = [](const char* name, double value) {
    check_number(name, value, std::isfinite(value) && value >= 0, "a finite number >= 0");
  };
  check_count("passes", o.passes, 1);
  check_count("batch", o.batch, 1);
  check_count("dim", o.dim, 0);
  check_count("strip_rows", o.strip_rows, 0);
  nonnegative("unpaired_weight", o.unpaired_weight);
  check_number("rate", o.rate, o.rate > 0 && o.rate <= 1, "a number in (0, 1]");
  nonnegative("ridge", o.ridge);
  nonnegative("correlation_power", o.correlation_power);
  nonnegative("change_tolerance", o.change_tolerance);
  check_number("epsilon", o.epsilon, std::isfinite(o.epsilon) && o.epsilon > 0, "a finite number > 0");
}

SelfTrainingOptions with_teacher_options(SelfTrainingOptions options, const TeacherOptions& teacher) {
  options.ridge = teacher.ridge.value();
  options.correlation_power = teacher.correlation_power.value();
  if (teacher.dim.value() > 0) options.dim = teacher.dim.value();
  options.seed = teacher.seed;
  return options;
}

TeacherOptions first_teacher_options(TeacherOptions options) {
  if (options.kind == TeacherKind::kSelfTraining || options.kind == TeacherKind::kAuto)
    options.kind = TeacherKind::kCca;
  return options;
}

}  // namespace sotalign
