#include "sotalign/ot/klot.h"

#include "c/calls.h"

using namespace sotalign;

struct sotalign_klot {
  Context& context;
  int64_t rows, cols;
  Klot klot;
  c::Input student = {}, teacher = {};
  c::Output gradient = {};
};

int sotalign_klot_create(sotalign_context* context, int64_t rows, int64_t cols, double epsilon_student,
                         double epsilon_teacher, int symmetrize, const sotalign_solve_options* student,
                         const sotalign_solve_options* teacher, sotalign_klot** klot) {
  return c::call([&] {
    c::require(context, "context");
    c::require(klot, "klot");
    const KlotOptions options{.epsilon_student = epsilon_student,
                              .epsilon_teacher = epsilon_teacher,
                              .symmetrize = c::symmetrize(symmetrize),
                              .student = c::solve_options(student, "student"),
                              .teacher = c::solve_options(teacher, "teacher")};
    *klot = new sotalign_klot{context->context, rows, cols, Klot(context->context, rows, cols, options)};
  });
}

void sotalign_klot_destroy(sotalign_klot* klot) { delete klot; }

int sotalign_klot_set_weights(sotalign_klot* klot, const double* a, const double* b) {
  return c::call([&] {
    c::require(klot, "klot");
    klot->klot.set_weights(c::values(a, klot->rows), c::values(b, klot->cols));
  });
}

int sotalign_klot_run(sotalign_klot* klot, const sotalign_const_matrix* student,
                      const sotalign_const_matrix* teacher, const sotalign_matrix* gradient,
                      double gradient_scale) {
  return c::call([&] {
    c::require(klot, "klot");
    const ConstMatrixF k = klot->student.view(klot->context, student, "student"),
                       k_teacher = klot->teacher.view(klot->context, teacher, "teacher");
    if (gradient == nullptr) return klot->klot.run(k, k_teacher, {}, gradient_scale);
    klot->klot.run(k, k_teacher, klot->gradient.view(klot->context, gradient, "gradient"), gradient_scale);
    klot->gradient.finish();
  });
}

int sotalign_klot_result(sotalign_klot* klot, double* value, sotalign_solve_result* student,
                         sotalign_solve_result* teacher) {
  return c::call([&] {
    c::require(klot, "klot");
    const KlotResult result = klot->klot.result();
    if (value != nullptr) *value = result.value;
    if (student != nullptr) *student = c::solve_result(result.student);
    if (teacher != nullptr) *teacher = c::solve_result(result.teacher);
  });
}
