// What a C program does with the library, compiled as C99. Each function returns the first status that is not
// SOTALIGN_OK, and frees what it created.
#pragma once

#include "sotalign/c.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct c_problem {
  int64_t problems, rows, cols;
  const double* epsilon;  // [problems]
  const double *a, *b;    // of problem 0; null: uniform
  const double* start;    // of problem 0; null: none
  sotalign_solve_options options;
} c_problem;

// Solves, and writes the plans, all results, and the potentials of each problem: u [problems, rows], v
// [problems, cols].
int c_sinkhorn(sotalign_context* context, const c_problem* problem, const sotalign_const_matrix* affinity,
               const sotalign_matrix* plan, sotalign_solve_result* results, double* u, double* v);

int c_klot(sotalign_context* context, double epsilon_student, double epsilon_teacher, int64_t iterations,
           const sotalign_const_matrix* student, const sotalign_const_matrix* teacher,
           const sotalign_matrix* gradient, double* value, sotalign_solve_result* results);

// dims: input_dim of `side`, output_dim of `projection`.
int c_embed(sotalign_context* context, const char* path, int side, int projection,
            const sotalign_const_matrix* x, const sotalign_matrix* out, int64_t* dims);

#ifdef __cplusplus
}
#endif
