#include "ot/klot_solver.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/klot_gradient.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

KlotSolver::KlotSolver(Context& context, int64_t rows, int64_t cols, const KlotOptions& options)
    : context_(&context),
      solver_(new SinkhornSolver(
          context, rows, cols,
          std::vector<SinkhornOptions>{{options.epsilon_student, options.symmetrize, options.student},
                                       {options.epsilon_teacher, options.symmetrize, options.teacher}})),
      sinkhorn_(std::unique_ptr<SinkhornSolver>(solver_)),
      value_(context, 1) {}

// Small problems leave a device idle: batching both pays launch and barrier overhead once. Large ones gain
// nothing, and solving them in turn needs the memory of one density instead of two.
int64_t KlotSolver::solved_at_once(const Context& context, int64_t rows, int64_t cols) {
  const bool cpu = context.queue().backend == kernels::Backend::kCpu;
  return rows * cols <= (cpu ? int64_t{1} << 20 : int64_t{1} << 26) ? 2 : 1;
}

void KlotSolver::set_weights(const std::vector<double>& a, const std::vector<double>& b) {
  for (const int64_t problem : {0, 1}) solver_->set_weights(problem, a, b);
  has_teacher_ = false;
}

void KlotSolver::check(int64_t student_rows, int64_t student_cols, int64_t teacher_rows, int64_t teacher_cols,
                       MatrixF gradient) const {
  const auto expect = [&](const char* name, int64_t found_rows, int64_t found_cols) {
    if (found_rows != rows() || found_cols != cols())
      throw InvalidArgument(
          fmt::format("{}: expected [{}, {}], found [{}, {}]", name, rows(), cols(), found_rows, found_cols));
  };
  expect("student affinity", student_rows, student_cols);
  expect("teacher affinity", teacher_rows, teacher_cols);
  if (gradient.data != nullptr) expect("gradient", gradient.rows, gradient.cols);
}

void KlotSolver::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  check(student.rows, student.cols, teacher.rows, teacher.cols, gradient);
  const StoredStrips k(student), k_teacher(teacher);
  const bool one_batch = student.stride == teacher.stride && solver_->group_from(0).count == 2 &&
                         solved_at_once(*context_, rows(), cols()) == 2 && !has_teacher_;
  const auto memory = [&](int64_t) { return gradient; };
  const auto use = [](MatrixF, int64_t) {};
  if (!one_batch) return run_strips(k, k_teacher, gradient_scale, memory, use);
  solver_->solve(StoredStrips(student, teacher), {0, 2});
  has_teacher_ = keep_teacher_;
  differentiate(k, k_teacher, gradient_scale, memory, use);
}

void KlotSolver::run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
                     double gradient_scale) {
  check(student.q.rows(), student.q.cols(), teacher.q.rows(), teacher.q.cols(), gradient);
  const int64_t height = strip_height(*context_, rows(), cols(), StripOrigin::kFixedPoint, 0);
  Workspace workspace(*context_);
  const FixedPointStrips k(*context_, student, height, workspace.take<float>(height * cols())),
      k_teacher(*context_, teacher, height, workspace.take<float>(height * cols()));
  run_strips(
      k, k_teacher, gradient_scale,
      [&](int64_t begin) {
        return gradient.data == nullptr ? gradient
                                        : gradient.row_range(begin, std::min(height, gradient.rows - begin));
      },
      [](MatrixF, int64_t) {});
}

void KlotSolver::run_strips(const Strips& student, const Strips& teacher, double gradient_scale,
                            const GradientStrip& memory, const UseGradient& use) {
  solver_->solve(student, {0, 1});
  if (!has_teacher_) solver_->solve(teacher, {1, 1});
  has_teacher_ = keep_teacher_;
  differentiate(student, teacher, gradient_scale, memory, use);
}

void KlotSolver::differentiate(const Strips& student, const Strips& teacher, double gradient_scale,
                               const GradientStrip& memory, const UseGradient& use) {
  kernels::KlotGradient args{.student = solver_->problems({0, 1}, {}, 0, student.height()),
                             .u_student = solver_->u(0),
                             .v_student = solver_->v(0),
                             .teacher = solver_->problems({1, 1}, {}, 0, teacher.height()),
                             .u_teacher = solver_->u(1),
                             .v_teacher = solver_->v(1),
                             .gradient_scale = static_cast<float>(gradient_scale),
                             .value = value_.data()};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(klot_gradient_scratch(context_->queue(), args)));
  student.for_each([&](ConstMatrixF strip, int64_t begin) {
    const MatrixF gradient = memory(begin);
    args.student = solver_->problems({0, 1}, strip, begin, student.height());
    args.teacher = solver_->problems({1, 1}, teacher.strip(begin), begin, teacher.height());
    args.gradient = gradient.data;
    args.gradient_stride = gradient.stride;
    klot_gradient(context_->queue(), args);
    use(gradient, begin);
  });
}

KlotResult KlotSolver::result() const {
  const std::vector<SinkhornResult> solves = solver_->results({"student affinity", "teacher affinity"});
  KlotResult result{.student = solves[0], .teacher = solves[1]};
  context_->copy_to_host(&result.value, value_.data(), sizeof(double));
  return result;
}

}  // namespace sotalign::detail
