#include "sotalign/ot/klot.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/klot_gradient.h"
#include "ot/strips.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
/// From one matrix to another one in the same memory, though not of one array.
int64_t elements_apart(const float* from, const float* to) {
  return (reinterpret_cast<intptr_t>(to) - reinterpret_cast<intptr_t>(from)) /
         static_cast<int64_t>(sizeof(float));
}

}  // namespace

Klot::Klot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options)
    : context_(&context),
      solver_(context, rows, cols,
              {{options.epsilon_student, options.symmetrize, options.student},
               {options.epsilon_teacher, options.symmetrize, options.teacher}}),
      value_(context, 1) {}

// Small problems leave a device idle, and what every launch and every meeting of threads costs is then paid
// once. Large ones gain nothing, and taking turns they need the memory for one density only.
int64_t Klot::solved_at_once(const Context& context, int64_t rows, int64_t cols) {
  const bool cpu = context.queue().backend == kernels::Backend::kCpu;
  return rows * cols <= (cpu ? int64_t{1} << 20 : int64_t{1} << 26) ? 2 : 1;
}

void Klot::set_weights(const std::vector<double>& a, const std::vector<double>& b) {
  for (const int64_t problem : {0, 1}) solver_.set_weights(problem, a, b);
}

void Klot::check(int64_t student_rows, int64_t student_cols, int64_t teacher_rows, int64_t teacher_cols,
                 MatrixF gradient) const {
  const auto expect = [&](const char* name, int64_t rows, int64_t cols) {
    if (rows != solver_.rows() || cols != solver_.cols())
      throw InvalidArgument(fmt::format("{}: expected [{}, {}], found [{}, {}]", name, solver_.rows(),
                                        solver_.cols(), rows, cols));
  };
  expect("student affinity", student_rows, student_cols);
  expect("teacher affinity", teacher_rows, teacher_cols);
  if (gradient.data != nullptr) expect("gradient", gradient.rows, gradient.cols);
}

void Klot::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  const int64_t rows = solver_.rows(), cols = solver_.cols();
  check(student.rows, student.cols, teacher.rows, teacher.cols, gradient);
  const int64_t apart = elements_apart(student.data, teacher.data);
  const bool at_once = solver_.group_from(0).count == 2 && solved_at_once(*context_, rows, cols) == 2;
  if (at_once && student.stride == teacher.stride) {
    solver_.solve(detail::StoredStrips(student, apart), {0, 2});
  } else {
    solver_.solve(detail::StoredStrips(student), {0, 1});
    solver_.solve(detail::StoredStrips(teacher), {1, 1});
  }
  differentiate(
      detail::StoredStrips(student), detail::StoredStrips(teacher), gradient_scale,
      [&](int64_t) { return gradient; }, [](MatrixF, int64_t) {});
}

void Klot::run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
               double gradient_scale) {
  check(student.q.rows(), student.q.cols(), teacher.q.rows(), teacher.q.cols(), gradient);
  const int64_t cols = solver_.cols();
  const int64_t height =
      detail::strip_height(*context_, solver_.rows(), cols, detail::StripOrigin::kFixedPoint, 0);
  Workspace workspace(*context_);
  const detail::FixedPointStrips k(*context_, student, height, workspace.take<float>(height * cols)),
      k_teacher(*context_, teacher, height, workspace.take<float>(height * cols));
  solver_.solve(k, {0, 1});
  solver_.solve(k_teacher, {1, 1});
  differentiate(
      k, k_teacher, gradient_scale,
      [&](int64_t begin) {
        return gradient.data == nullptr ? gradient
                                        : gradient.row_range(begin, std::min(height, gradient.rows - begin));
      },
      [](MatrixF, int64_t) {});
}

void Klot::differentiate(const detail::Strips& student, const detail::Strips& teacher, double gradient_scale,
                         const std::function<MatrixF(int64_t)>& memory,
                         const std::function<void(MatrixF, int64_t)>& use) {
  kernels::KlotGradient args{.student = solver_.problems({0, 1}, {}, 0, 0, student.height()),
                             .u_student = solver_.u_.data(),
                             .v_student = solver_.v_.data(),
                             .teacher = solver_.problems({1, 1}, {}, 0, 0, teacher.height()),
                             .u_teacher = solver_.u_.data() + solver_.rows(),
                             .v_teacher = solver_.v_.data() + solver_.cols(),
                             .gradient_scale = static_cast<float>(gradient_scale),
                             .value = value_.data()};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(klot_gradient_scratch(context_->queue(), args)));
  student.for_each([&](ConstMatrixF strip, int64_t begin) {
    const MatrixF gradient = memory(begin);
    args.student = solver_.problems({0, 1}, strip, 0, begin, student.height());
    args.teacher = solver_.problems({1, 1}, teacher.strip(begin), 0, begin, teacher.height());
    args.gradient = gradient.data;
    args.gradient_stride = gradient.stride;
    klot_gradient(context_->queue(), args);
    use(gradient, begin);
  });
}

KlotResult Klot::result() const {
  const std::vector<SinkhornResult> solves = solver_.results({"student affinity", "teacher affinity"});
  KlotResult result{.student = solves[0], .teacher = solves[1]};
  context_->copy_to_host(&result.value, value_.data(), sizeof(double));
  return result;
}

}  // namespace sotalign
