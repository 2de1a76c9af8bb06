#include "sotalign/ot/klot.h"

#include <fmt/format.h>

#include "kernels/klot_gradient.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
SinkhornOptions solve_options(const KlotOptions& o, double epsilon) {
  return {.epsilon = epsilon,
          .iterations = o.iterations,
          .tolerance = o.tolerance,
          .check_every = o.check_every,
          .symmetrize = o.symmetrize,
          .relaxation = o.relaxation,
          .epsilon_scaling = o.epsilon_scaling,
          .form = o.form,
          .storage = o.storage};
}
}  // namespace

Klot::Klot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options)
    : context_(&context),
      student_(context, rows, cols, solve_options(options, options.epsilon_student)),
      teacher_(context, rows, cols, solve_options(options, options.epsilon_teacher)),
      value_(context, 1) {}

void Klot::set_weights(const std::vector<double>& a, const std::vector<double>& b) {
  student_.set_weights(0, a, b);
  teacher_.set_weights(0, a, b);
}

void Klot::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  if (gradient.data != nullptr && (gradient.rows != student_.rows() || gradient.cols != student_.cols()))
    throw InvalidArgument(fmt::format("gradient: expected [{}, {}], found [{}, {}]", student_.rows(),
                                      student_.cols(), gradient.rows, gradient.cols));
  student_.solve(student);
  teacher_.solve(teacher);
  kernels::KlotGradient args{.student = student_.problems(student),
                             .u_student = student_.u_.data(),
                             .v_student = student_.v_.data(),
                             .teacher = teacher_.problems(teacher),
                             .u_teacher = teacher_.u_.data(),
                             .v_teacher = teacher_.v_.data(),
                             .gradient = gradient.data,
                             .gradient_stride = gradient.stride,
                             .gradient_scale = static_cast<float>(gradient_scale),
                             .value = value_.data()};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(klot_gradient_scratch(context_->queue(), args)));
  klot_gradient(context_->queue(), args);
}

KlotResult Klot::result() const {
  KlotResult result{.student = student_.results()[0], .teacher = teacher_.results()[0]};
  context_->copy_to_host(&result.value, value_.data(), sizeof(double));
  return result;
}

}  // namespace sotalign
