#include "sotalign/loss/cka.h"

#include "kernels/cka.h"
#include "loss/check_affinities.h"

namespace sotalign {

Cka::Cka(Context& context, int64_t rows, int64_t cols)
    : context_(&context),
      rows_((detail::check_affinity_shape("cka", rows, cols), rows)),
      cols_(cols),
      value_(context, 1) {}

void Cka::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  detail::check_affinities(student, teacher, gradient, rows_, cols_);
  kernels::Cka args{.student = student.data,
                    .student_stride = student.stride,
                    .teacher = teacher.data,
                    .teacher_stride = teacher.stride,
                    .rows = rows_,
                    .cols = cols_,
                    .gradient = gradient.data,
                    .gradient_stride = gradient.stride,
                    .gradient_scale = static_cast<float>(gradient_scale),
                    .value = value_.data()};
  Workspace workspace(*context_);
  args.scratch = workspace.take<unsigned char>(static_cast<int64_t>(cka_scratch(context_->queue(), args)));
  cka(context_->queue(), args);
}

double Cka::value() const { return value_.download()[0]; }

}  // namespace sotalign
