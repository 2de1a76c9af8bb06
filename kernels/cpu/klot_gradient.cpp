// KLOT value and gradient in one pass. Each thread owns whole rows of both affinities; the value is summed
// row by row in double.
#include "kernels/klot_gradient.h"

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {
struct Scratch {
  float *v, *teacher_v;  // [cols]
  double* shifts;        // [2], subtracted from v and teacher_v
  double* v_difference;  // [cols]
  double* row_values;    // [rows]
};
Scratch carve(Carver& carver, int64_t rows, int64_t cols) {
  Scratch s{};
  s.v = carver.take<float>(cols);
  s.teacher_v = carver.take<float>(cols);
  s.shifts = carver.take<double>(2);
  s.v_difference = carver.take<double>(cols);
  s.row_values = carver.take<double>(rows);
  return s;
}
}  // namespace

size_t klot_gradient_scratch(const Queue&, const KlotGradient& args) {
  Carver carver;
  carve(carver, args.student.rows, args.student.cols);
  return carver.used();
}

void klot_gradient(const Queue& queue, const KlotGradient& args) {
  const EntropicBatch &student = args.student, &teacher = args.teacher;
  const int64_t rows = student.rows, cols = student.cols;
  const Strip strip = strip_of(student);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, rows, cols);
  if (strip.first) {
    s.shifts[0] = centre(args.v_student, s.v, cols);
    s.shifts[1] = centre(args.v_teacher, s.teacher_v, cols);
    for (int64_t j = 0; j < cols; ++j)
      s.v_difference[j] = std::isinf(student.log_b[j]) ? 0.0 : args.v_teacher[j] - args.v_student[j];
  }

  const float c = student.inverse_epsilon[0], teacher_c = teacher.inverse_epsilon[0];
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < strip.rows; ++i) {
    const int64_t of_row = strip.begin + i;
    const double u = args.u_student[of_row], teacher_u = args.u_teacher[of_row];
    const double log_a = student.log_a[of_row];
    const RowPotential row = split(u + s.shifts[0], log_a);
    const RowPotential teacher_row = split(teacher_u + s.shifts[1], log_a);
    s.row_values[of_row] =
        klot_row({.k = student.affinity + i * student.row_stride,
                  .v = s.v,
                  .c = c,
                  .offset = row.offset,
                  .scale = static_cast<float>(row.weight),
                  .teacher_k = teacher.affinity + i * teacher.row_stride,
                  .teacher_v = s.teacher_v,
                  .teacher_c = teacher_c,
                  .teacher_offset = teacher_row.offset,
                  .teacher_scale = static_cast<float>(teacher_row.weight),
                  .u_difference = std::isinf(log_a) ? 0.0 : teacher_u - u,
                  .v_difference = s.v_difference,
                  .gradient = args.gradient == nullptr ? nullptr : args.gradient + i * args.gradient_stride,
                  .gradient_scale = args.gradient_scale * c},
                 cols);
  }
  if (!strip.last) return;
  double value = 0;
  for (int64_t i = 0; i < rows; ++i) value += s.row_values[i];
  *args.value = value;
}

}  // namespace sotalign::kernels::cpu
