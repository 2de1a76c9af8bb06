// KLOT between two small affinity matrices from C: value and gradient, as in klot.cpp.
#include <stdio.h>
#include <stdlib.h>

#include "sotalign/c.h"

static void check(int status) {
  if (status == SOTALIGN_OK) return;
  fprintf(stderr, "klot: %s\n", sotalign_last_error());
  exit(2);
}

int main(void) {
  enum { N = 3, M = 4 };
  const float student[N * M] = {.1f, .9f, .2f, .0f, .3f, .1f, .8f, .2f, .7f, .0f, .1f, .6f};
  const float teacher[N * M] = {.2f, .8f, .1f, .1f, .1f, .2f, .9f, .1f, .9f, .1f, .0f, .7f};
  float gradient[N * M];
  // Rows, columns, stride. On a GPU, host memory is copied; SOTALIGN_CONTEXT_MEMORY is used as it is.
  const sotalign_const_matrix k = {student, N, M, M, SOTALIGN_HOST_MEMORY};
  const sotalign_const_matrix k_teacher = {teacher, N, M, M, SOTALIGN_HOST_MEMORY};
  const sotalign_matrix out = {gradient, N, M, M, SOTALIGN_HOST_MEMORY};
  sotalign_context* context;
  sotalign_klot* klot;
  sotalign_solve_options solve;
  sotalign_solve_result of_student, of_teacher;
  double value;

  sotalign_solve_options_init(&solve);
  solve.iterations = 1000;
  solve.tolerance = 1e-6;

  check(sotalign_context_create(NULL, &context));  // the CPU, all cores
  check(sotalign_klot_create(context, N, M, 0.05, 0.02, 1, &solve, &solve, &klot));
  check(sotalign_klot_run(klot, &k, &k_teacher, &out, 1.0));
  check(sotalign_klot_result(klot, &value, &of_student, &of_teacher));
  printf("KLOT %.6f after %lld and %lld iterations (%s)\n", value, (long long)of_student.iterations,
         (long long)of_teacher.iterations,
         of_teacher.status == SOTALIGN_CONVERGED ? "converged" : "not converged");
  printf("dKLOT/dK[0][1] = %.6f\n", gradient[1]);

  sotalign_klot_destroy(klot);
  sotalign_context_destroy(context);
  return 0;
}
