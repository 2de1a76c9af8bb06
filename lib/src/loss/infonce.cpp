#include "sotalign/loss/infonce.h"

#include "kernels/infonce.h"
#include "kernels/log_sum_exp.h"
#include "loss/check_affinities.h"

namespace sotalign {

InfoNce::InfoNce(Context& context, int64_t rows, int64_t cols, const InfoNceOptions& options)
    : context_(&context),
      rows_((detail::check_affinity_shape("infonce", rows, cols), rows)),
      cols_(cols),
      c_student_(detail::inverse("epsilon_student", options.epsilon_student)),
      c_teacher_(detail::inverse("epsilon_teacher", options.epsilon_teacher)),
      row_sums_(context, 2 * rows),
      column_sums_(context, 2 * cols),
      value_(context, 1) {}

void InfoNce::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  detail::check_affinities(student, teacher, gradient, rows_, cols_);
  const kernels::Queue& queue = context_->queue();
  Workspace workspace(*context_);
  const auto operand = [&](ConstMatrixF matrix, float c, int64_t index) {
    kernels::LogSumExp args{.k = matrix.data,
                            .stride = matrix.stride,
                            .rows = rows_,
                            .cols = cols_,
                            .c = c,
                            .row = row_sums_.data() + index * rows_,
                            .column = column_sums_.data() + index * cols_};
    Workspace scratch(*context_);
    args.scratch = scratch.take<unsigned char>(static_cast<int64_t>(log_sum_exp_scratch(queue, args)));
    log_sum_exp(queue, args);
    return kernels::SoftmaxOperand{
        .k = args.k, .stride = args.stride, .c = c, .row = args.row, .column = args.column};
  };
  kernels::InfoNce args{.student = operand(student, c_student_, 0),
                        .teacher = operand(teacher, c_teacher_, 1),
                        .rows = rows_,
                        .cols = cols_,
                        .gradient = gradient.data,
                        .gradient_stride = gradient.stride,
                        .gradient_scale = static_cast<float>(gradient_scale),
                        .value = value_.data()};
  args.scratch = workspace.take<unsigned char>(static_cast<int64_t>(infonce_scratch(queue, args)));
  infonce(queue, args);
}

double InfoNce::value() const { return value_.download()[0]; }

}  // namespace sotalign
