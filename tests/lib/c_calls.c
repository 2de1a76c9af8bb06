#include "lib/c_calls.h"

#define CHECK(call)             \
  do {                          \
    status = (call);            \
    if (status != 0) goto done; \
  } while (0)

int c_sinkhorn(sotalign_context* context, const c_problem* problem, const sotalign_const_matrix* affinity,
               const sotalign_matrix* plan, sotalign_solve_result* results, double* u, double* v) {
  sotalign_sinkhorn* solver = NULL;
  int status;
  int64_t i;
  CHECK(sotalign_sinkhorn_create(context, problem->problems, problem->rows, problem->cols, problem->epsilon,
                                 0, &problem->options, &solver));
  if (problem->a != NULL || problem->b != NULL)
    CHECK(sotalign_sinkhorn_set_weights(solver, 0, problem->a, problem->b));
  if (problem->start != NULL) CHECK(sotalign_sinkhorn_set_start(solver, 0, problem->start));
  CHECK(sotalign_sinkhorn_solve(solver, affinity));
  for (i = 0; i < problem->problems; ++i) {
    CHECK(sotalign_sinkhorn_result(solver, i, &results[i]));
    CHECK(sotalign_sinkhorn_potentials(solver, i, u + i * problem->rows, v + i * problem->cols));
  }
  CHECK(sotalign_sinkhorn_plan(solver, affinity, plan));
  CHECK(sotalign_context_synchronize(context));
done:
  sotalign_sinkhorn_destroy(solver);
  return status;
}

int c_klot(sotalign_context* context, double epsilon_student, double epsilon_teacher, int64_t iterations,
           const sotalign_const_matrix* student, const sotalign_const_matrix* teacher,
           const sotalign_matrix* gradient, double* value, sotalign_solve_result* results) {
  sotalign_klot* klot = NULL;
  sotalign_solve_options options;
  int status;
  sotalign_solve_options_init(&options);
  options.iterations = iterations;
  CHECK(sotalign_klot_create(context, student->rows, student->cols, epsilon_student, epsilon_teacher, 1,
                             &options, &options, &klot));
  CHECK(sotalign_klot_run(klot, student, teacher, gradient, 1.0));
  CHECK(sotalign_klot_result(klot, value, &results[0], &results[1]));
done:
  sotalign_klot_destroy(klot);
  return status;
}

int c_embed(sotalign_context* context, const char* path, int side, int projection,
            const sotalign_const_matrix* x, const sotalign_matrix* out, int64_t* dims) {
  sotalign_model* model = NULL;
  int status;
  CHECK(sotalign_model_load(context, path, &model));
  CHECK(sotalign_model_input_dim(model, side, &dims[0]));
  CHECK(sotalign_model_output_dim(model, projection, &dims[1]));
  CHECK(sotalign_model_embed(model, side, projection, x, out));
  CHECK(sotalign_context_synchronize(context));
done:
  sotalign_model_destroy(model);
  return status;
}
