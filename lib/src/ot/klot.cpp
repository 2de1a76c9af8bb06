#include "sotalign/ot/klot.h"

#include <fmt/format.h>

#include "kernels/klot_gradient.h"
#include "ot/strips.h"
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
  differentiate(
      detail::StoredStrips(student, student_.rows()), detail::StoredStrips(teacher, teacher_.rows()),
      gradient_scale, [&](int64_t) { return gradient; }, [](MatrixF, int64_t) {});
}

void Klot::differentiate(const detail::Strips& student, const detail::Strips& teacher, double gradient_scale,
                         const std::function<MatrixF(int64_t)>& memory,
                         const std::function<void(MatrixF, int64_t)>& use) {
  kernels::KlotGradient args{.student = student_.problems({}, 0, student.height()),
                             .u_student = student_.u_.data(),
                             .v_student = student_.v_.data(),
                             .teacher = teacher_.problems({}, 0, teacher.height()),
                             .u_teacher = teacher_.u_.data(),
                             .v_teacher = teacher_.v_.data(),
                             .gradient_scale = static_cast<float>(gradient_scale),
                             .value = value_.data()};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(klot_gradient_scratch(context_->queue(), args)));
  student.for_each([&](ConstMatrixF strip, int64_t begin) {
    const MatrixF gradient = memory(begin);
    args.student = student_.problems(strip, begin, student.height());
    args.teacher = teacher_.problems(teacher.strip(begin), begin, teacher.height());
    args.gradient = gradient.data;
    args.gradient_stride = gradient.stride;
    klot_gradient(context_->queue(), args);
    use(gradient, begin);
  });
}

KlotResult Klot::result() const {
  KlotResult result{.student = student_.results()[0], .teacher = teacher_.results()[0]};
  context_->copy_to_host(&result.value, value_.data(), sizeof(double));
  return result;
}

}  // namespace sotalign
