#include <fmt/format.h>

#include <algorithm>

#include "c/calls.h"
#include "sotalign/core/error.h"

using namespace sotalign;

struct sotalign_sinkhorn {
  Context& context;
  int64_t problems, rows, cols;
  Sinkhorn solver;
  c::Input affinity = {};
  c::Output plan = {};
};

namespace {

void require_problem(const sotalign_sinkhorn* solver, int64_t problem) {
  c::require(solver, "solver");
  if (problem < 0 || problem >= solver->problems)
    throw InvalidArgument(fmt::format("problem: expected 0 to {}, found {}", solver->problems - 1, problem));
}

}  // namespace

int sotalign_sinkhorn_create(sotalign_context* context, int64_t problems, int64_t rows, int64_t cols,
                             const double* epsilon, int symmetrize, const sotalign_solve_options* options,
                             sotalign_sinkhorn** solver) {
  return c::call([&] {
    c::require(context, "context");
    c::require(epsilon, "epsilon");
    c::require(solver, "solver");
    if (problems < 1) throw InvalidArgument(fmt::format("problems: expected at least 1, found {}", problems));
    std::vector<SinkhornOptions> all(
        static_cast<size_t>(problems),
        {.symmetrize = c::symmetrize(symmetrize), .solve = c::solve_options(options, "options")});
    for (size_t i = 0; i < all.size(); ++i) all[i].epsilon = epsilon[i];
    *solver = new sotalign_sinkhorn{context->context, problems, rows, cols,
                                    Sinkhorn(context->context, rows, cols, all)};
  });
}

void sotalign_sinkhorn_destroy(sotalign_sinkhorn* solver) { delete solver; }

int sotalign_sinkhorn_set_weights(sotalign_sinkhorn* solver, int64_t problem, const double* a,
                                  const double* b) {
  return c::call([&] {
    require_problem(solver, problem);
    solver->solver.set_weights(problem, c::values(a, solver->rows), c::values(b, solver->cols));
  });
}

int sotalign_sinkhorn_set_start(sotalign_sinkhorn* solver, int64_t problem, const double* v) {
  return c::call([&] {
    require_problem(solver, problem);
    c::require(v, "v");
    solver->solver.set_start(problem, c::values(v, solver->cols));
  });
}

int sotalign_sinkhorn_solve(sotalign_sinkhorn* solver, const sotalign_const_matrix* affinity) {
  return c::call([&] {
    c::require(solver, "solver");
    solver->solver.solve(solver->affinity.view(solver->context, affinity, "affinity"));
  });
}

int sotalign_sinkhorn_result(sotalign_sinkhorn* solver, int64_t problem, sotalign_solve_result* result) {
  return c::call([&] {
    require_problem(solver, problem);
    c::require(result, "result");
    *result = c::solve_result(solver->solver.results().at(static_cast<size_t>(problem)));
  });
}

int sotalign_sinkhorn_potentials(sotalign_sinkhorn* solver, int64_t problem, double* u, double* v) {
  return c::call([&] {
    require_problem(solver, problem);
    const std::vector<double> rows = solver->solver.row_potentials(problem),
                              cols = solver->solver.column_potentials(problem);
    if (u != nullptr) std::copy_n(rows.begin(), solver->rows, u);
    if (v != nullptr) std::copy_n(cols.begin(), solver->cols, v);
  });
}

int sotalign_sinkhorn_plan(sotalign_sinkhorn* solver, const sotalign_const_matrix* affinity,
                           const sotalign_matrix* plan) {
  return c::call([&] {
    c::require(solver, "solver");
    c::require(affinity, "affinity");
    c::require(plan, "plan");
    if (affinity->memory != plan->memory || affinity->stride != plan->stride)
      throw InvalidArgument("plan: expected the memory and the stride of the affinity");
    const ConstMatrixF k = solver->affinity.view(solver->context, affinity, "affinity");
    solver->solver.plan(k, solver->plan.view(solver->context, plan, "plan"));
    solver->plan.finish();
  });
}
